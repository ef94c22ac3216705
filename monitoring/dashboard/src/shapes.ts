// What a row of a data file can be: for which goal, in which columns, and a guess which of them it is.
// Names are those of data.format and data.columns (docs/spec.md).
import type {Doc, Json} from "./types";
import type {Preview} from "./preview";
import {at, put} from "./yaml";

// What somebody wants of a job, in words.
export const GOALS = {
  classify: "sort texts into classes",
  write: "write texts",
  prefer: "prefer better answers",
} as const;
export type Goal = keyof typeof GOALS;

export interface Role {
  name: string;
  label: string;
  optional?: boolean;
}

export interface Shape {
  format: string;
  goal: Goal;
  title: string;
  roles: Role[];
  jsonOnly?: boolean; // its cells are lists, or read from JSON Lines only
}

export const SHAPES: readonly Shape[] = [
  {format: "text-label", goal: "classify", title: "a text and its label", roles: [
    {name: "text", label: "Text is in"}, {name: "label", label: "Its label is in"}]},
  {format: "prompt-completion", goal: "write", title: "a prompt and its answer", roles: [
    {name: "prompt", label: "Prompt is in"}, {name: "completion", label: "Its answer is in"}]},
  {format: "chat", goal: "write", title: "a conversation", jsonOnly: true, roles: [
    {name: "messages", label: "Messages are in"}]},
  {format: "sharegpt", goal: "write", title: "a conversation, as ShareGPT has them", jsonOnly: true, roles: [
    {name: "conversations", label: "Turns are in"}, {name: "system", label: "System's words in", optional: true}]},
  {format: "alpaca", goal: "write", title: "an instruction, as Alpaca has them", jsonOnly: true, roles: [
    {name: "instruction", label: "Instruction is in"}, {name: "input", label: "Its input in", optional: true},
    {name: "output", label: "Its answer is in"}]},
  {format: "text", goal: "write", title: "a text", roles: [{name: "text", label: "Text is in"}]},
  {format: "preference", goal: "prefer", title: "a better and a worse answer", jsonOnly: true, roles: [
    {name: "prompt", label: "Prompt is in", optional: true}, {name: "chosen", label: "Better answer is in"},
    {name: "rejected", label: "Worse answer is in"}]},
];

const NAMES: Record<string, string[]> = {
  text: ["text", "sentence", "review", "content", "message", "body", "description", "comment"],
  label: ["label", "labels", "class", "category", "target", "sentiment", "section", "topic"],
  prompt: ["prompt", "question", "input", "instruction"],
  completion: ["completion", "answer", "output", "response", "reply"],
  chosen: ["chosen", "preferred", "better", "accepted"],
  rejected: ["rejected", "dispreferred", "worse", "refused"],
};

function named(columns: string[], role: string): string | null {
  const lower = columns.map((each) => each.toLowerCase());
  for (const name of NAMES[role] ?? [role]) {
    const place = lower.indexOf(name);
    if (place >= 0) return columns[place];
  }
  return null;
}

// The column whose first cell is a list of objects with that field.
function listed(shown: Preview, field: string): string | null {
  const first = shown.objects[0] ?? {};
  const found = Object.entries(first).find(([, value]) => Array.isArray(value) &&
    typeof value[0] === "object" && value[0] !== null && field in value[0]);
  return found ? found[0] : null;
}

export function shapeOf(format: Json | undefined): Shape | null {
  return SHAPES.find((each) => each.format === format) ?? null;
}

// role → column for a shape: { text: "review", label: "sentiment" }. Roles without a column are left out.
export function rolesFor(shape: Shape, shown: Preview): Record<string, string> {
  const {columns} = shown;
  const roles: Record<string, string> = {};
  for (const {name} of shape.roles) {
    const column = name === "messages" ? listed(shown, "role") ?? named(columns, name)
      : name === "conversations" ? listed(shown, "from") ?? named(columns, name)
      : shape.format === "alpaca" ? (columns.includes(name) ? name : null)
      : named(columns, name);
    if (column !== null && !Object.values(roles).includes(column)) roles[name] = column;
  }
  if (shape.format === "text-label") {
    if (!roles.label && columns.length === 2) roles.label = columns[1];
    const other = columns.find((each) => each !== roles.label);
    if (!roles.text && other) roles.text = other;
  } else if (shape.format === "text" && !roles.text && columns.length === 1) {
    roles.text = columns[0];
  }
  return roles;
}

function fits(shape: Shape, shown: Preview): boolean {
  if (shape.jsonOnly && shown.format !== "JSON Lines") return false;
  const roles = rolesFor(shape, shown);
  if (shape.format === "chat" && listed(shown, "role") === null) return false;
  if (shape.format === "text-label" && !named(shown.columns, "label")) return false;
  return shape.roles.every((role) => role.optional || roles[role.name]);
}

// The shape of a file's rows, among those of a goal where one is given. Null: none that is known.
export function detect(shown: Preview, goal?: Goal | null): Shape | null {
  const likely = ["chat", "sharegpt", "preference", "alpaca", "prompt-completion", "text-label", "text"];
  for (const format of likely) {
    const shape = shapeOf(format)!;
    if ((!goal || shape.goal === goal) && fits(shape, shown)) return shape;
  }
  return null;
}

// What a spec says of roles: nothing when each column is called as its role.
export function columnsFor(roles: Record<string, string>): Record<string, string> | undefined {
  const renamed = Object.entries(roles).filter(([role, column]) => role !== column);
  return renamed.length === 0 ? undefined : Object.fromEntries(renamed);
}

// ---- what a spec says of it ----------------------------------------------------------------------

export function goalOf(doc: Doc): Goal | null {
  if (doc.task === "text-classification") return "classify";
  if (doc.task !== "text-generation") return null;
  return at(doc, "method.dpo") !== undefined ? "prefer" : "write";
}

export function isAdapter(doc: Doc): boolean {
  return at(doc, "method.lora") !== undefined || at(doc, "method.dpo.lora") !== undefined;
}

export const LORA: Doc = {r: 16, lora_alpha: 32};

// A learning rate that suits most models.
export function usualRate(goal: Goal | null, adapter: boolean): number {
  return (adapter ? 2e-4 : 5e-5) / (goal === "prefer" ? 10 : 1);
}

// The goal and what is trained of the model; a learning rate that was the usual one stays that.
export function aim(doc: Doc, goal: Goal, adapter: boolean): Doc {
  const usual = usualRate(goalOf(doc), isAdapter(doc));
  const lora = at(doc, "method.lora") ?? at(doc, "method.dpo.lora") ?? LORA;
  let next = put(doc, "task", goal === "classify" ? "text-classification" : "text-generation");
  if (goal === "prefer") {
    const {lora: _, ...dpo} = (at(doc, "method.dpo") ?? {beta: 0.1}) as Doc;
    next = put(next, "method", {dpo: adapter ? {...dpo, lora} : dpo});
  } else {
    next = put(next, "method", adapter ? {lora} : undefined);
  }
  if (at(doc, "training.learning_rate") === usual) {
    next = put(next, "training.learning_rate", usualRate(goal, adapter));
  }
  // These are of language models, and packing of texts that stand alone.
  const unfit = goal === "classify" ? ["chat_template", "train_on_inputs", "packing"]
    : goal === "prefer" ? ["train_on_inputs", "packing"] : [];
  for (const field of unfit) next = put(next, "data." + field, undefined);
  return next;
}

// Rows of that shape; roles as they are guessed.
export function reshape(doc: Doc, shape: Shape, shown: Preview | null): Doc {
  const next = put(doc, "data.format", shape.goal === "classify" ? undefined : shape.format);
  return put(next, "data.columns", shown ? columnsFor(rolesFor(shape, shown)) : undefined);
}

// ---- how a row reads -----------------------------------------------------------------------------

export interface Turn {
  who: string;
  text: string;
  kind: "asked" | "learnt" | "refused";
}

function words(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}

function messages(value: unknown): Turn[] {
  if (!Array.isArray(value)) return [];
  const known: Record<string, string> = {human: "user", gpt: "assistant"};
  return value.map((each: Record<string, unknown>) => {
    const said = String(each?.role ?? each?.from ?? "?");
    const who = known[said] ?? said;
    return {who, text: words(each?.content ?? each?.value), kind: who === "assistant" ? "learnt" : "asked"};
  });
}

// A row as people read it: who says what, and what of it is to be learnt.
export function turnsOf(shape: Shape, roles: Record<string, string>, row: Record<string, unknown>): Turn[] {
  const cell = (role: string) => row[roles[role] ?? role];
  const one = (who: string, role: string, kind: Turn["kind"]): Turn[] => {
    const value = cell(role);
    if (value === undefined || value === null || value === "") return [];
    if (!Array.isArray(value)) return [{who, text: words(value), kind}];
    const turns = messages(value);
    return kind === "asked" ? turns.map((turn) => ({...turn, kind})) : turns.slice(-1).map((turn) => ({...turn, who, kind}));
  };
  switch (shape.format) {
    case "chat": return messages(cell("messages"));
    case "sharegpt": return [...one("system", "system", "asked"), ...messages(cell("conversations"))];
    case "alpaca": return [...one("instruction", "instruction", "asked"), ...one("input", "input", "asked"),
      ...one("answer", "output", "learnt")];
    case "prompt-completion": return [...one("prompt", "prompt", "asked"), ...one("answer", "completion", "learnt")];
    case "preference": {
      // Where there is no prompt, what both answers begin with is it.
      const asked = one("prompt", "prompt", "asked");
      const before = messages(cell("chosen")).slice(0, -1).map((turn) => ({...turn, kind: "asked" as const}));
      return [...(asked.length > 0 ? asked : before), ...one("better", "chosen", "learnt"),
        ...one("worse", "rejected", "refused")];
    }
    case "text": return one("text", "text", "learnt");
    default: return [];
  }
}
