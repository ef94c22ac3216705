// The spec of a job that is being written: its document and text, the inputs that its words stand for,
// what the coordinator says of it.
import {useEffect, useRef, useState} from "preact/hooks";
import type {Doc, Json, Model, ModelFile, Problem} from "./types";
import {api, get, part} from "./api";
import {usePlace} from "./route";
import {at, put, toYaml} from "./yaml";

// What a spec's words stand for: files that went up, models whose files are blobs already.
interface Known {
  data: Record<string, ModelFile>;
  models: Record<string, ModelFile[]>;
}

interface Checked {
  problems: Problem[];
  notes: string[];
  document: Doc | null;
  spec: Doc | null;
}
// The text that was checked: what is true of it is not yet known of a later one.
type CheckedText = Checked & {text: string};

interface Written {
  doc: Doc;
  text: string;
}

// What a document becomes. An upload may end long after it began: it changes what is there then.
export type Change = (was: Doc) => Doc;

export const START: Doc = {
  name: "my-job",
  task: "text-classification",
  model: "",
  data: {train: "", eval: 0.1},
  training: {num_train_epochs: 3, learning_rate: 5e-5},
  resources: {ranks: {min: 1, max: 2}},
};
const NOTHING: Known = {data: {}, models: {}};
const KEPT = "tutti-new-job";
export const MODEL_FILE = /(\.safetensors|\.json|\.jinja|\.spm|\.model)$|^(vocab|merges)\.txt$/;

const VOCABULARY = /^(tokenizer\.json|tokenizer\.model|vocab\.json|vocab\.txt|spiece\.model|sentencepiece\.bpe\.model)$/;
const OF_BASE = /(^config\.json|\.safetensors|\.safetensors\.index\.json)$/;

// The files of a chosen folder by the paths that a job knows them by (jobs/spec/model_files.cc): of a
// model, or of an adapter with its base in base/. Null: it is neither.
export function filesOfFolder(chosen: File[]): Map<string, File> | null {
  const files = new Map(chosen.map((file) => [file.webkitRelativePath.split("/").slice(1).join("/"), file]));
  const inside = (folder: string) => [...files].filter(([path]) =>
    path.startsWith(folder) && !path.slice(folder.length).includes("/") && MODEL_FILE.test(path.slice(folder.length)));
  const own = new Map(inside(""));
  const hasWeights = (names: string[]) => names.some((name) => name.endsWith(".safetensors"));
  if (!own.has("adapter_config.json")) {
    return own.has("config.json") && hasWeights([...own.keys()]) ? own : null;
  }
  const base = inside("base/");
  if (!own.has("adapter_model.safetensors") || !files.has("base/config.json") || !hasWeights(base.map(([path]) => path))) {
    return null;
  }
  const placed = new Map([...own].filter(([path]) => path === "adapter_model.safetensors" || !OF_BASE.test(path)));
  const reads = [...own.keys()].some((path) => VOCABULARY.test(path));
  for (const [path, file] of base) {
    const name = path.slice("base/".length);
    if (OF_BASE.test(name)) placed.set(path, file);
    else if ((!reads || name === "generation_config.json") && !own.has(name)) placed.set(name, file);
  }
  return placed;
}

export function isInPlace(path: string): boolean {
  return path.startsWith("file:///");
}

// A resolved spec without what is the default anyway would need the defaults: only nulls and empty
// sections go.
function pruned(value: Json): Json | undefined {
  if (value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) {
    return Array.isArray(value) && value.length === 0 ? undefined : value;
  }
  const out: Doc = {};
  for (const [key, each] of Object.entries(value)) {
    const kept = pruned(each);
    if (kept !== undefined) out[key] = kept;
  }
  return Object.keys(out).length === 0 ? undefined : out;
}

export async function filesOfModel(id: string): Promise<ModelFile[]> {
  const model = await get<Model>(`/models/${part(id)}`);
  return model.files.filter((file) => MODEL_FILE.test(file.path))
    .map(({path, digest, size_bytes}) => ({path, digest, size_bytes}))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

// A job's spec to begin another from, and the files that it was submitted with.
async function ofJob(id: string): Promise<[Doc, Known]> {
  const spec = await get<Doc>(`/jobs/${part(id)}/spec`);
  const {inputs, ...rest} = spec;
  const data: Record<string, ModelFile> = {};
  for (const name of ["train", "eval"]) {
    const file = at(inputs, name) as unknown as ModelFile | undefined;
    if (file) data[String(at(spec, "data." + name))] = file;
  }
  const files = (at(inputs, "model") as unknown as ModelFile[] | undefined) ?? [];
  return [pruned(rest) as Doc, {data, models: {[String(spec.model)]: files}}];
}

function localProblem(where: string, message: string, hint: string): Problem {
  return {code: "invalid", message, where, hint, line: null, column: null};
}

// The spec with the inputs it names; what is missing as problems.
export function withInputs(spec: Doc, known: Known): {spec: Doc; missing: Problem[]} {
  const missing: Problem[] = [];
  const inputs: Doc = {};
  const model = String(spec.model ?? "");
  if (known.models[model]) inputs.model = known.models[model] as unknown as Json;
  else if (!isInPlace(model)) {
    missing.push(localProblem("model", `the files of '${model}' are not here`,
      "choose a model, or upload its folder"));
  }
  for (const name of ["train", "eval"]) {
    const path = at(spec, "data." + name);
    if (typeof path !== "string" || isInPlace(path)) continue;
    if (known.data[path]) inputs[name] = known.data[path] as unknown as Json;
    else {
      missing.push(localProblem("data." + name, `the file '${path}' was not uploaded`,
        "drop it into the form"));
    }
  }
  return {spec: {...spec, inputs}, missing};
}

// Begins from the job of ?from=, from the model of ?model=, or from what this tab kept.
export function useDraft() {
  const {query} = usePlace();
  const from = query.get("from");
  const model = query.get("model");
  const [{doc, text}, setWritten] = useState<Written>(() => ({doc: START, text: toYaml(START)}));
  // The same, before it is drawn.
  const newest = useRef<Written>({doc, text});
  const [known, setKnown] = useState<Known>(NOTHING);
  const [checked, setChecked] = useState<CheckedText | null>(null);
  const [error, setError] = useState<unknown>();
  const [loaded, setLoaded] = useState(false);

  const write = (next: Written) => {
    newest.current = next;
    setWritten(next);
  };
  const change = (update: Change) => {
    const next = update(newest.current.doc);
    write({doc: next, text: toYaml(next)});
  };
  // Its document comes with its check.
  const setText = (next: string) => write({doc: newest.current.doc, text: next});
  const begin = (start: Doc, knows: Known) => {
    change(() => start);
    setKnown(knows);
  };

  useEffect(() => {
    const load = async () => {
      if (from) return begin(...await ofJob(from));
      if (model) {
        const [files, {task}] = await Promise.all([filesOfModel(model), get<Model>(`/models/${part(model)}`)]);
        return begin(put(put(START, "model", model), "task", task), {data: {}, models: {[model]: files}});
      }
      const kept = sessionStorage.getItem(KEPT);
      if (!kept) return begin(START, NOTHING);
      const draft = JSON.parse(kept) as {text: string; known: Known};
      setText(draft.text);
      setKnown(draft.known);
    };
    load().catch(setError).finally(() => setLoaded(true));
  }, [from, model]);

  useEffect(() => {
    if (!loaded) return;
    const stop = new AbortController();
    const timer = window.setTimeout(() => {
      if (!from) sessionStorage.setItem(KEPT, JSON.stringify({text, known}));
      api<Checked>("POST", "/specs/check", {text}, {signal: stop.signal}).then((answer) => {
        // Something newer was written, and is not drawn yet: its own check follows.
        if (newest.current.text !== text) return;
        setChecked({...answer, text});
        if (answer.document && typeof answer.document === "object") write({doc: answer.document, text});
        setError(undefined);
      }, (failed: unknown) => {
        if (!stop.signal.aborted) setError(failed);
      });
    }, 250);
    return () => {
      window.clearTimeout(timer);
      stop.abort();
    };
  }, [text, known, loaded]);

  return {
    text, setText, doc, known, setKnown, checked, isChecked: checked?.text === text, error, change,
    forget: () => sessionStorage.removeItem(KEPT),
  };
}
