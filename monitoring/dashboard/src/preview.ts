// The first rows of a file someone chose, as far as the browser can tell: format, columns, rows. The
// coordinator's inspection has the last word.

export interface Preview {
  format: "CSV" | "TSV" | "JSON Lines" | "compressed" | "unknown";
  columns: string[];
  rows: string[][]; // all that were read
  objects: Record<string, unknown>[]; // the same, the first of them, by column
  trouble: string | null;
}

const READ_BYTES = 256 * 1024;
const ARRAY_BYTES_MAX = 64 * 1024 * 1024; // of a JSON array, which is read whole
const OBJECTS = 20; // kept as objects

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

function jsonLines(text: string, whole: boolean): Pick<Preview, "columns" | "rows" | "objects"> | string {
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
  const rows = objects.map((each) => columns.map((name) => shown(each[name])));
  return {columns, rows, objects: objects.slice(0, OBJECTS)};
}

export function distinct(shown: Preview, column: string | undefined): string[] {
  const at = column === undefined ? -1 : shown.columns.indexOf(column);
  return at < 0 ? [] : [...new Set(shown.rows.map((row) => row[at]))];
}

// A file as the cluster reads it: a JSON array of objects becomes JSON Lines, the rest stays.
export async function readable(file: File): Promise<File> {
  if (!/\.json$/i.test(file.name) || file.size > ARRAY_BYTES_MAX) return file;
  if (!(await file.slice(0, 1024).text()).replace(/^\ufeff/, "").trimStart().startsWith("[")) return file;
  let rows: unknown;
  try {
    rows = JSON.parse(await file.text());
  } catch {
    return file;
  }
  const lines = (rows as unknown[]).map((row) => JSON.stringify(row) + "\n");
  return new File(lines, file.name.replace(/json$/i, "jsonl"), {type: "application/jsonl"});
}

export async function preview(file: File): Promise<Preview> {
  const name = file.name.toLowerCase();
  const none: Preview = {format: "unknown", columns: [], rows: [], objects: [], trouble: null};
  if (name.endsWith(".gz")) return {...none, format: "compressed"};
  if (/\.(xlsx?|ods|numbers|parquet|zip)$/.test(name)) {
    return {...none, trouble: "it is no CSV, TSV or JSON Lines: save or export it as one of these"};
  }
  const whole = file.size <= READ_BYTES;
  const text = (await file.slice(0, READ_BYTES).text()).replace(/^\ufeff/, "");
  if (/\.(jsonl|ndjson|json)$/.test(name) || text.trimStart().startsWith("{")) {
    const format = "JSON Lines";
    const read = jsonLines(text, whole);
    if (typeof read === "string") return {...none, format, trouble: read};
    return {...none, format, ...read, trouble: read.rows.length === 0 ? "it has no rows" : null};
  }
  const format = name.endsWith(".tsv") ? "TSV" : "CSV";
  const all = separated(text, format === "TSV" ? "\t" : ",", whole);
  const columns = all[0] ?? [];
  const rows = all.slice(1);
  const objects = rows.slice(0, OBJECTS).map((row) =>
    Object.fromEntries(columns.map((column, i) => [column, row[i]])));
  const odd = rows.findIndex((row) => row.length !== columns.length);
  const trouble = columns.length === 1 && /[;\t]/.test(columns[0])
    ? `its heading is "${columns[0].slice(0, 60)}": columns are divided by commas (or by tabs, in a .tsv)`
    : odd >= 0 ? `row ${odd + 1} has ${rows[odd].length} fields, the heading has ${columns.length}`
    : rows.length === 0 ? "it has no rows" : null;
  return {format, columns, rows: odd >= 0 ? rows.slice(0, odd + 1) : rows, objects, trouble};
}
