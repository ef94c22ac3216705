// The first rows of a file someone chose, as far as the browser can tell: format, columns, a guess
// which of them is what. The coordinator's inspection has the last word.

export interface Preview {
  format: "CSV" | "TSV" | "JSON Lines" | "compressed" | "unknown";
  columns: string[];
  rows: string[][]; // all that were read
  trouble: string | null;
}

const READ_BYTES = 256 * 1024;
const NAMES: Record<string, string[]> = {
  text: ["text", "sentence", "review", "content", "message", "body", "description", "comment"],
  label: ["label", "labels", "class", "category", "target", "sentiment", "section", "topic"],
  prompt: ["prompt", "question", "input", "instruction"],
  completion: ["completion", "answer", "output", "response", "reply"],
};

// RFC 4180: quotes, doubled quotes, line ends inside quotes. The last, cut row is left out.
function separated(text: string, separator: string, whole: boolean): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  for (let i = 0; i < text.length; ++i) {
    const letter = text[i];
    if (quoted) {
      if (letter === '"' && text[i + 1] === '"') cell += text[++i];
      else if (letter === '"') quoted = false;
      else cell += letter;
    } else if (letter === '"' && cell === "") {
      quoted = true;
    } else if (letter === separator) {
      row.push(cell);
      cell = "";
    } else if (letter === "\n") {
      row.push(cell.replace(/\r$/, ""));
      if (row.length > 1 || row[0] !== "") rows.push(row);
      row = [];
      cell = "";
    } else {
      cell += letter;
    }
  }
  if (whole && (cell !== "" || row.length > 0)) rows.push([...row, cell]);
  return rows;
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
}

function jsonLines(text: string, whole: boolean): {columns: string[]; rows: string[][]} | string {
  const lines = text.split("\n");
  if (!whole) lines.pop();
  const objects: Record<string, unknown>[] = [];
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    try {
      const value: unknown = JSON.parse(line);
      if (value === null || typeof value !== "object" || Array.isArray(value)) {
        return `line ${i + 1} is no object`;
      }
      objects.push(value as Record<string, unknown>);
    } catch {
      return `line ${i + 1} is no JSON`;
    }
  }
  const columns = [...new Set(objects.slice(0, 50).flatMap((each) => Object.keys(each)))];
  return {columns, rows: objects.map((each) => columns.map((name) => shown(each[name])))};
}

function named(columns: string[], role: string): string | null {
  const lower = columns.map((each) => each.toLowerCase());
  for (const name of NAMES[role] ?? []) {
    const at = lower.indexOf(name);
    if (at >= 0) return columns[at];
  }
  return null;
}

// role → column, for a task: { text: "review", label: "sentiment" }.
export function rolesFor(task: string, columns: string[]): Record<string, string> {
  const roles: Record<string, string> = {};
  if (task === "text-generation") {
    const prompt = named(columns, "prompt");
    const completion = named(columns, "completion");
    if (prompt && completion) return {prompt, completion};
    const text = named(columns, "text") ?? (columns.length === 1 ? columns[0] : null);
    if (text) roles.text = text;
  } else if (task === "text-classification") {
    const label = named(columns, "label") ?? (columns.length === 2 ? columns[1] : null);
    const text = named(columns, "text") ?? columns.find((each) => each !== label) ?? null;
    if (text) roles.text = text;
    if (label) roles.label = label;
  }
  return roles;
}

// What a spec says of roles: nothing when each column is called as its role.
export function columnsFor(roles: Record<string, string>): Record<string, string> | undefined {
  return Object.entries(roles).every(([role, column]) => role === column) ? undefined : roles;
}

// Rows of prompts with completions, or of nothing but text, are there to write text from.
export function taskFor(columns: string[]): string | null {
  if (named(columns, "prompt") && named(columns, "completion")) return "text-generation";
  if (named(columns, "label")) return "text-classification";
  return columns.length === 1 && named(columns, "text") ? "text-generation" : null;
}

export function distinct(shown: Preview, column: string | undefined): string[] {
  const at = column === undefined ? -1 : shown.columns.indexOf(column);
  return at < 0 ? [] : [...new Set(shown.rows.map((row) => row[at]))];
}

export async function preview(file: File): Promise<Preview> {
  const name = file.name.toLowerCase();
  const none: Preview = {format: "unknown", columns: [], rows: [], trouble: null};
  if (name.endsWith(".gz")) return {...none, format: "compressed"};
  const whole = file.size <= READ_BYTES;
  const text = (await file.slice(0, READ_BYTES).text()).replace(/^\ufeff/, "");
  let columns: string[];
  let rows: string[][];
  let format: Preview["format"];
  if (/\.(jsonl|ndjson|json)$/.test(name) || text.trimStart().startsWith("{")) {
    format = "JSON Lines";
    const read = jsonLines(text, whole);
    if (typeof read === "string") return {...none, format, trouble: read};
    ({columns, rows} = read);
  } else {
    format = name.endsWith(".tsv") ? "TSV" : "CSV";
    const all = separated(text, format === "TSV" ? "\t" : ",", whole);
    columns = all[0] ?? [];
    rows = all.slice(1);
    const odd = rows.findIndex((row) => row.length !== columns.length);
    if (odd >= 0) {
      return {...none, format, columns, rows: rows.slice(0, odd + 1),
        trouble: `row ${odd + 1} has ${rows[odd].length} fields, the heading has ${columns.length}`};
    }
  }
  if (rows.length === 0) return {...none, format, columns, trouble: "it has no rows"};
  return {...none, format, columns, rows};
}
