// A new job: a form for people and the spec beside it, one and the same document. The coordinator
// checks every change; files go up as blobs.
import {useState} from "preact/hooks";
import type {ComponentChildren} from "preact";
import type {Doc, Estimate, Job, Json, ModelFile} from "../types";
import {api, upload} from "../api";
import {START, useDraft, withInputs, type Change} from "../draft";
import {Editor, Problems} from "../editor";
import {bytes, count, duration, plural, until} from "../format";
import {useLive} from "../live";
import {Button, Empty, Facts, Failure, Field, Heading, Icon, Notice, Panel, Radios, tell, useTitle} from "../parts";
import {preview, readable, type Preview} from "../preview";
import {go} from "../route";
import {aim, detect, goalOf, isAdapter, reshape, usualRate} from "../shapes";
import {at, flatten, numeral, put} from "../yaml";
import {DataPanel} from "./newdata";
import {MethodFields, ModelField} from "./newmodel";
import {NumberField, Typed} from "./specfields";

// ---- what a look at model and data found ---------------------------------------------------------

interface Piece {
  text: string;
  weight: number;
}

interface Inspection {
  estimate: Estimate;
  report: Doc & {format?: string; examples?: Piece[][]};
}

// Rows in the model's own form: what it learns to write is marked.
function Examples({report}: {report: Inspection["report"]}) {
  const examples = report.examples ?? [];
  if (examples.length === 0) return null;
  const pairs = report.format === "preference";
  const called = (i: number) => pairs ? `Row ${Math.floor(i / 2) + 1}, ${i % 2 === 0 ? "better" : "worse"}`
    : `Row ${i + 1}`;
  return (
    <Panel title="As the model reads it" aside={<span class="muted">format {report.format}</span>}>
      <p class="muted">Its first rows, token for token. It learns to write what is <mark>marked</mark>; the rest
        is what it is given.</p>
      {examples.map((pieces, i) => (
        <figure key={i} class="example">
          <figcaption>{called(i)}</figcaption>
          <pre tabIndex={0} aria-label={called(i)}>{pieces.map((piece, j) => piece.weight > 0
            ? <mark key={j} title={piece.weight === 1 ? "learnt" : `counts ${piece.weight} ×`}>{piece.text}</mark>
            : <span key={j}>{piece.text}</span>)}</pre>
        </figure>
      ))}
    </Panel>
  );
}

function Found({found: {estimate, report}}: {found: Inspection}) {
  return (
    <>
      <Panel title="Estimate">
        {estimate.warnings.map((each) => <Notice key={each} kind="warn"><p>{each}</p></Notice>)}
        <Facts rows={[
          ["Rows", count(estimate.rows)],
          ["Tokens per epoch", count(estimate.tokens)],
          ["Steps", count(estimate.total_steps)],
          ["Memory per rank", bytes(estimate.memory_bytes_per_rank)],
          ["Disk", bytes(estimate.disk_bytes)],
          ["Training takes", estimate.training_seconds === null ? "not known" : `about ${duration(estimate.training_seconds)}`],
          ["Would start", estimate.start_at ? until(estimate.start_at) : "not known"],
          ...[...flatten(report as Json)]
            .filter(([name, value]) => /^(format|labels|num_labels)/.test(name) && value !== "[]").slice(0, 8)
            .map(([name, value]): [string, ComponentChildren] =>
              [name, value.replace(/^\[|\]$/g, "").replaceAll('"', "").replaceAll(",", ", ").slice(0, 300)]),
        ]} />
      </Panel>
      <Examples report={report} />
    </>
  );
}

// ---- the page ------------------------------------------------------------------------------------

function nameFrom(file: string): string | null {
  const stem = file.replace(/\..*$/, "").replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 50);
  return /^[A-Za-z0-9]/.test(stem) ? stem : null;
}

// A document for a file that has just come.
function withFile(doc: Doc, file: string, shown: Preview): Doc {
  let next = put(doc, "data.train", file);
  const shape = detect(shown) ?? detect(shown, goalOf(doc));
  if (shape) {
    next = aim(next, shape.goal, isAdapter(next));
    next = reshape(next, shape, shown);
  } else {
    next = put(put(next, "data.format", undefined), "data.columns", undefined);
  }
  // A name that somebody gave stays.
  const own = ![START.name as string, nameFrom(String(at(doc, "data.train") ?? ""))].includes(String(doc.name));
  return own ? next : put(next, "name", nameFrom(file) ?? START.name);
}

export function NewJob() {
  useTitle("New job");
  const {cluster, session} = useLive();
  const draft = useDraft();
  const {doc, known, checked, isChecked} = draft;
  const [shown, setShown] = useState<Preview | null>(null);
  const [found, setFound] = useState<Inspection | null>(null);
  const [failure, setFailure] = useState<unknown>();
  const ready = checked?.spec ? withInputs(checked.spec, known) : null;
  const problems = [...(checked?.problems ?? []), ...(ready?.missing ?? [])];
  const change = (update: Change) => {
    setFound(null);
    draft.change(update);
  };
  const set = (path: string, value: Json | undefined) => change((was) => put(was, path, value));

  const takeData = (name: "train" | "eval") => async (given: File) => {
    const file = await readable(given);
    const looked = await preview(file);
    const blob = await upload(file);
    draft.setKnown((was) => ({...was, data: {...was.data, [file.name]: {path: file.name, ...blob}}}));
    if (name === "train") {
      setShown(looked);
      change((was) => withFile(was, file.name, looked));
    } else {
      set("data.eval", file.name);
    }
  };
  const know = (model: string, files: ModelFile[]) =>
    draft.setKnown((was) => ({...was, models: {...was.models, [model]: files}}));
  const dryRun = async () => {
    setFailure(undefined);
    try {
      setFound(await api<Inspection>("POST", "/inspect", {spec: ready!.spec}));
    } catch (error) {
      setFailure(error);
    }
  };
  const submit = async () => {
    setFailure(undefined);
    try {
      const job = await api<Job>("POST", "/jobs", {spec: ready!.spec},
        {headers: {"idempotency-key": crypto.randomUUID?.() ?? String(Math.random()) + Date.now()}});
      draft.forget();
      tell(`${job.name} is submitted`);
      go(`/jobs/${job.id}`);
    } catch (error) {
      setFailure(error);
    }
  };
  if (session?.scope === "viewer") {
    return <Panel><Empty title="Submitting needs a submitter's token">Ask an admin for one.</Empty></Panel>;
  }
  const ranksMax = Number(at(doc, "resources.ranks.max") ?? 1);
  const sizes = [1, 2, 4, 8, 16, 32].filter((n) => n <= Math.max(cluster?.slots.total ?? 1, ranksMax, 2));
  const good = isChecked && problems.length === 0 && ready !== null;
  return (
    <>
      <Heading title="New job">
        <Button disabled={!good} run={dryRun}>Estimate</Button>
        <Button kind="primary" icon="play" disabled={!good} run={submit}>Start</Button>
      </Heading>
      <Failure error={failure ?? draft.error} />
      <div class="columns even newjob">
        <div>
          <DataPanel draft={{...draft, change}} shown={shown} set={set} take={takeData} />
          <Panel title="2 · Model">
            <Field label="Name">
              <Typed value={String(doc.name ?? "")} maxLength={63} done={(text) => set("name", text)} />
            </Field>
            <ModelField doc={doc} set={set} know={know} />
            <MethodFields doc={doc} set={set} change={change} />
          </Panel>
          <Panel title="3 · Training">
            <div class="pair">
              <NumberField label="Epochs" doc={doc} path="training.num_train_epochs" set={set}
                           hint="times through the data" />
              <NumberField label="Learning rate" doc={doc} path="training.learning_rate" set={set}
                           hint={`${numeral(usualRate(goalOf(doc), isAdapter(doc)))} suits most models`} />
              <NumberField label="Rows per step" doc={doc} path="training.global_batch_size" set={set}
                           hint="empty: the usual" />
              <NumberField label="Longest row, in tokens" doc={doc} path="data.max_length" set={set}
                           hint="empty: the model's, up to 512" />
              <NumberField label="Evaluate every" doc={doc} path="training.eval_steps" set={set} hint="steps" />
              <NumberField label="Checkpoint every" doc={doc} path="training.save_steps" set={set} hint="steps" />
            </div>
            <Radios legend="Ranks at most: it takes what is free, the result is the same" name="max"
                    choices={sizes} chosen={ranksMax}
                    choose={(n) => set("resources.ranks", {min: 1, max: n})} />
          </Panel>
        </div>
        <div class={found ? "" : "side"}>
          <Panel title="Spec" aside={
            <span class={isChecked && problems.length > 0 ? "bad" : "muted"} role="status">
              {!isChecked ? "checking…" : problems.length > 0 ? plural(problems.length, "problem")
                : <><Icon name="check" /> ready to start</>}
            </span>
          }>
            <Editor text={draft.text} problems={checked?.problems ?? []}
                    set={(text) => { setFound(null); draft.setText(text); }} />
            <Problems problems={problems} />
            {checked?.notes.map((note) => <p key={note} class="faint">{note}</p>)}
          </Panel>
          {found && <Found found={found} />}
        </div>
      </div>
    </>
  );
}
