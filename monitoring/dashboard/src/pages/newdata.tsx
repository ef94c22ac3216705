// The data of a new job: what is to be learnt, the file, its columns, how its rows read.
import type {ComponentChildren} from "preact";
import type {Doc} from "../types";
import {bytes, plural} from "../format";
import {Field, Notice, Panel, Radios} from "../parts";
import {distinct, type Preview} from "../preview";
import {
  aim, columnsFor, detect, goalOf, GOALS, isAdapter, reshape, rolesFor, shapeOf, SHAPES, turnsOf, type Goal,
  type Shape,
} from "../shapes";
import {at, put} from "../yaml";
import type {Change, useDraft} from "../draft";
import {Drop, NumberField, type Set} from "./specfields";

const ACCEPT = ".csv,.tsv,.jsonl,.ndjson,.json,.gz";
const CELL = 90; // characters shown of a cell
const TURN = 400; // and of what somebody says

function cut(text: string, most: number): string {
  return text.length > most ? text.slice(0, most) + "…" : text;
}

// The shape that the spec says, else the one that the file looks like.
function shapeNow(doc: Doc, shown: Preview | null): Shape | null {
  const goal = goalOf(doc);
  const said = shapeOf(at(doc, "data.format"));
  if (said) return said;
  if (goal === "classify") return shapeOf("text-label");
  return shown && goal ? detect(shown, goal) : null;
}

function Columns({shape, shown, doc, set}: {shape: Shape; shown: Preview; doc: Doc; set: Set}) {
  const given = at(doc, "data.columns") as Record<string, string> | undefined;
  const roles = {...rolesFor(shape, shown), ...given};
  const choose = (role: string, column: string) => {
    const next = {...roles};
    if (column === "") delete next[role];
    else next[role] = column;
    set("data.columns", columnsFor(next));
  };
  return (
    <div class="pair">
      {shape.roles.map(({name, label, optional}) => (
        <Field key={name} label={label}>
          <select value={roles[name] ?? ""} onChange={(event) => choose(name, event.currentTarget.value)}>
            <option value="">{optional ? "none" : "choose a column"}</option>
            {shown.columns.map((column) => <option key={column} value={column}>{column}</option>)}
          </select>
        </Field>
      ))}
    </div>
  );
}

// The first rows: conversations as people read them, else a table.
function FirstRows({shape, shown, doc}: {shape: Shape | null; shown: Preview; doc: Doc}) {
  const roles = {...(shape ? rolesFor(shape, shown) : {}), ...(at(doc, "data.columns") as Record<string, string> | undefined)};
  const talks = shape ? shown.objects.slice(0, 2).map((row) => turnsOf(shape, roles, row)) : [];
  if (talks.some((turns) => turns.length > 0)) {
    return (
      <ol class="talks">
        {talks.map((turns, i) => (
          <li key={i}>{turns.map((turn, j) => (
            <p key={j} class={turn.kind}><b>{turn.who}</b> <span>{cut(turn.text, TURN)}</span></p>
          ))}</li>
        ))}
      </ol>
    );
  }
  return (
    <div class="scroll" role="region" aria-label="first rows" tabIndex={0}><table class="rows small">
      <thead><tr>{shown.columns.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
      <tbody>{shown.rows.slice(0, 4).map((row, i) => (
        <tr key={i}>{row.map((cell, j) => <td key={j}>{cut(cell, CELL)}</td>)}</tr>
      ))}</tbody>
    </table></div>
  );
}

function Rows({shown, doc, set, change}: {shown: Preview; doc: Doc; set: Set; change: (update: Change) => void}) {
  const shape = shapeNow(doc, shown);
  const goal = goalOf(doc);
  const ofGoal = SHAPES.filter((each) => each.goal === goal);
  const label = shape?.format === "text-label"
    ? (at(doc, "data.columns.label") as string | undefined) ?? rolesFor(shape, shown).label : undefined;
  const labels = distinct(shown, label);
  return (
    <div class="preview">
      <p><b>{shown.format}</b>{shown.columns.length > 0 && <> with {plural(shown.columns.length, "column")}</>}
        {shape && shown.format !== "compressed" && <>; each row is {shape.title}</>}
        {labels.length > 0 && <span class="muted">; labels {labels.slice(0, 6).join(", ")}
          {labels.length > 6 && ", …"}</span>}</p>
      {ofGoal.length > 1 && (
        <Field label="Each row is">
          <select value={shape?.format ?? ""} onChange={(event) => {
            const chosen = shapeOf(event.currentTarget.value);
            if (chosen) change((was) => reshape(was, chosen, shown));
          }}>
            {!shape && <option value="">choose what</option>}
            {ofGoal.map((each) => <option key={each.format} value={each.format}>{each.title}</option>)}
          </select>
        </Field>
      )}
      {shape && shown.columns.length > 0 && <Columns shape={shape} shown={shown} doc={doc} set={set} />}
      {shape?.jsonOnly && (shown.format === "CSV" || shown.format === "TSV") && (
        <Notice kind="warn"><p>Such rows are read from JSON Lines: one object a line.</p></Notice>
      )}
      {goal && shown.columns.length > 0 && !shape && (
        <Notice kind="warn"><p>Its columns ({shown.columns.join(", ")}) do not look like what is learnt here.</p></Notice>
      )}
      {labels.length > 50 && (
        <Notice kind="warn"><p>{plural(labels.length, "different label")} in the first rows: is
          that column the label?</p></Notice>
      )}
      {shown.trouble && <Notice kind="bad"><p>{shown.trouble}</p></Notice>}
      {shown.rows.length > 0 && <FirstRows shape={shape} shown={shown} doc={doc} />}
    </div>
  );
}

export function DataPanel({draft, shown, set, take}: {
  draft: ReturnType<typeof useDraft>; shown: Preview | null; set: Set;
  take: (name: "train" | "eval") => (file: File) => Promise<void>;
}) {
  const {doc, known, change} = draft;
  const evaluation = at(doc, "data.eval");
  const train = String(at(doc, "data.train") ?? "");
  const goal = goalOf(doc);
  const choose = (words: string) => {
    const next = (Object.keys(GOALS) as Goal[]).find((each) => GOALS[each] === words)!;
    const shape = (shown && detect(shown, next)) ?? (next === "prefer" ? shapeOf("preference") : null);
    change((was) => {
      const aimed = aim(was, next, isAdapter(was));
      return shape ? reshape(aimed, shape, shown)
        : put(put(aimed, "data.format", undefined), "data.columns", undefined);
    });
  };
  let dropped: ComponentChildren = "Drop a CSV, TSV or JSON Lines file with your examples, or click to choose one";
  if (train && known.data[train]) {
    dropped = <><b>{train}</b>, {bytes(known.data[train].size_bytes)}. Drop another to replace it.</>;
  }
  return (
    <Panel title="1 · What it learns, and from what">
      <Radios legend="The model shall" name="goal" choices={Object.values(GOALS)}
              chosen={goal ? GOALS[goal] : "" as string} choose={choose} />
      <Drop label="training data" accept={ACCEPT} take={take("train")}>{dropped}</Drop>
      {shown && <Rows shown={shown} doc={doc} set={set} change={change} />}
      <div class="pair">
        <Field label="Evaluate on">
          <select value={typeof evaluation === "number" ? "part" : evaluation === undefined ? "none" : "file"}
                  onChange={(event) => {
                    const kind = event.currentTarget.value;
                    set("data.eval", kind === "part" ? 0.1 : kind === "file" ? "" : undefined);
                  }}>
            <option value="part">a part of the data</option>
            <option value="file">another file</option><option value="none">nothing</option>
          </select>
        </Field>
        {typeof evaluation === "number" && (
          <NumberField label="Which part" doc={doc} path="data.eval" set={set} hint="0.1 = a tenth" />
        )}
      </div>
      {typeof evaluation === "string" && (
        <Drop label="evaluation data" accept={ACCEPT} take={take("eval")}>
          {evaluation && known.data[evaluation] ? <b>{evaluation}</b> : "Drop the file to evaluate on"}
        </Drop>
      )}
    </Panel>
  );
}
