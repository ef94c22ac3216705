// A document as YAML: block style, strings quoted only where they must be. The coordinator reads YAML;
// nothing in here does.
import type {Doc, Json} from "./types";

const PLAIN = /^[A-Za-z_./~]([\w ./@+~-]|:(?! |$))*$/;
const WORD = /^(true|false|null|yes|no|on|off|~|\.nan|[-+]?\.inf)$/i;

// 0.00005 as people write it: 5e-5.
export function numeral(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
}

function scalar(value: Json): string {
  if (value === null) return "null";
  if (typeof value === "string") {
    const plain = PLAIN.test(value) && !WORD.test(value) && !value.endsWith(" ") && !/^\.?\d/.test(value);
    return plain ? value : JSON.stringify(value);
  }
  if (typeof value === "number") {
    // Readers of YAML 1.1 want a dot before an exponent.
    const text = numeral(value);
    return /e/.test(text) && !text.includes(".") ? text.replace("e", ".0e") : text;
  }
  return String(value);
}

function isShort(value: Json): boolean {
  if (Array.isArray(value)) return value.every((each) => each === null || typeof each !== "object");
  return false;
}

function write(value: Json, indent: string): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return " []\n";
    if (isShort(value)) return ` [${value.map(scalar).join(", ")}]\n`;
    return "\n" + value.map((each) => `${indent}-${write(each, indent + "  ").replace(/^\n\s*/, " ")}`)
      .join("");
  }
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    if (entries.length === 0) return " {}\n";
    const flat = entries.length <= 3 && indent !== "" &&
      entries.every(([, each]) => typeof each === "number" || typeof each === "boolean");
    if (flat) return ` {${entries.map(([key, each]) => `${key}: ${scalar(each)}`).join(", ")}}\n`;
    return "\n" + entries.map(([key, each]) =>
      `${indent}${scalar(key)}:${write(each, indent + "  ")}`).join("");
  }
  return ` ${scalar(value)}\n`;
}

// As people write them; others follow, and `inputs`, which the coordinator adds, comes last.
const ORDER = [
  "name", "task", "model", "data", "train", "eval", "format", "columns", "text", "label", "prompt",
  "completion", "chosen", "rejected", "max_length", "chat_template", "train_on_inputs", "packing", "method", "dpo", "beta",
  "loss_type", "lora", "r", "lora_alpha", "target_modules", "training", "num_train_epochs", "max_steps", "global_batch_size",
  "micro_batch_size", "shards", "learning_rate", "lr_scheduler_type", "warmup_ratio", "weight_decay",
  "logging_steps", "eval_steps", "save_steps", "resources", "ranks", "min", "max", "schedule", "retry",
];

function inOrder(value: Json): Json {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const place = (key: string) => {
    const at = ORDER.indexOf(key);
    return at >= 0 ? at : key === "inputs" ? ORDER.length + 1 : ORDER.length;
  };
  const sorted = Object.entries(value).sort(([a], [b]) => place(a) - place(b));
  return Object.fromEntries(sorted.map(([key, each]) => [key, inOrder(each)]));
}

export function toYaml(doc: Doc): string {
  return write(inOrder(doc), "").replace(/^\n/, "");
}

export function at(doc: Json | undefined, path: string): Json | undefined {
  let value: Json | undefined = doc;
  for (const key of path.split(".")) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
    value = value[key];
  }
  return value;
}

// A copy with `value` at the path; undefined takes it (and a section that becomes empty) away.
export function put(doc: Doc, path: string, value: Json | undefined): Doc {
  const [key, ...rest] = path.split(".");
  const copy = {...doc};
  if (rest.length > 0) {
    const inner = copy[key];
    const section = inner !== null && typeof inner === "object" && !Array.isArray(inner) ? inner : {};
    const changed = put(section as Doc, rest.join("."), value);
    if (Object.keys(changed).length === 0) delete copy[key];
    else copy[key] = changed;
  } else if (value === undefined) {
    delete copy[key];
  } else {
    copy[key] = value;
  }
  return copy;
}

// Every scalar with its dotted path; lists count as one.
export function flatten(value: Json | undefined, path = "", into = new Map<string, string>()) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [key, each] of Object.entries(value)) {
      flatten(each, path ? `${path}.${key}` : key, into);
    }
  } else if (value !== undefined) {
    into.set(path, typeof value === "string" ? value : JSON.stringify(value));
  }
  return into;
}

// The fields of specs in which they differ; inputs by what the files hold, not by each file.
export function differences(specs: Json[]): {field: string; values: string[]}[] {
  const flats = specs.map((spec) => {
    const flat = new Map<string, string>();
    if (spec !== null && typeof spec === "object" && !Array.isArray(spec)) {
      const {inputs, ...rest} = spec;
      flatten(rest, "", flat);
      for (const name of ["train", "eval"]) {
        const digest = at(inputs, name + ".digest");
        if (typeof digest === "string") flat.set(`inputs.${name}`, digest.slice(0, 19));
      }
    }
    return flat;
  });
  const fields = [...new Set(flats.flatMap((flat) => [...flat.keys()]))].sort();
  return fields
    .map((field) => ({field, values: flats.map((flat) => flat.get(field) ?? "–")}))
    .filter(({values}) => values.some((value) => value !== values[0]));
}
