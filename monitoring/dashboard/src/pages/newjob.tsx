// A new job: a form for people and the spec beside it, one and the same document. The coordinator
// checks every change; files go up as blobs.
import {useRef, useState} from "preact/hooks";
import type {ComponentChildren} from "preact";
import type {Doc, Estimate, Job, Json, Model, ModelFile, Problem} from "../types";
import {api, get, said, upload} from "../api";
import {filesOfModel, isInPlace, MODEL_FILE, START, useDraft, withInputs} from "../draft";
import {bytes, count, plural, until} from "../format";
import {useLive} from "../live";
import {
  Button, Empty, Facts, Failure, Field, Heading, Icon, Notice, Panel, Radios, tell, useRead, useTitle,
} from "../parts";
import {columnsFor, distinct, preview, rolesFor, taskFor, type Preview} from "../preview";
import {go} from "../route";
import {at, flatten, numeral, put} from "../yaml";

const TASKS: Record<string, string> = {
  "text-classification": "sort texts into classes",
  "text-generation": "write texts like these",
};

// ---- fields --------------------------------------------------------------------------------------

// What is being typed stays as it is until it is left, whatever is drawn meanwhile.
function Typed({value, done, decimal, maxLength}: {
  value: string; done: (text: string) => void; decimal?: boolean; maxLength?: number;
}) {
  const [typed, setTyped] = useState<string | null>(null);
  return (
    <input inputMode={decimal ? "decimal" : "text"} maxLength={maxLength} value={typed ?? value}
           onInput={(event) => setTyped(event.currentTarget.value)}
           onChange={(event) => {
             done(event.currentTarget.value);
             setTyped(null);
           }} />
  );
}

function written(value: Json | undefined): string {
  if (typeof value === "number") return numeral(value);
  return value === undefined || value === null ? "" : String(value);
}

function NumberField(props: {
  label: string; doc: Doc; path: string; hint?: string; set: (path: string, value: Json | undefined) => void;
}) {
  const value = at(props.doc, props.path);
  return (
    <Field label={props.label} hint={props.hint}>
      <Typed decimal value={written(value)} done={(typed) => {
        const text = typed.trim();
        const number = Number(text);
        props.set(props.path, text === "" ? undefined : Number.isFinite(number) ? number : text);
      }} />
    </Field>
  );
}

function Drop({label, accept, take, children}: {
  label: string; accept: string; take: (file: File) => Promise<void>; children: ComponentChildren;
}) {
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState(false);
  const use = async (file: File | undefined) => {
    if (!file) return;
    setBusy(true);
    try {
      await take(file);
    } catch (error) {
      tell(`${file.name} was not taken: ${said(error)}`, "", true);
    } finally {
      setBusy(false);
    }
  };
  return (
    <label class={over ? "drop over" : "drop"}
           onDragOver={(event) => { event.preventDefault(); setOver(true); }}
           onDragLeave={() => setOver(false)}
           onDrop={(event) => {
             event.preventDefault();
             setOver(false);
             void use(event.dataTransfer?.files[0]);
           }}>
      <input type="file" accept={accept} aria-label={label}
             onChange={(event) => void use(event.currentTarget.files?.[0])} />
      <Icon name="file" /><span>{busy ? "Uploading…" : children}</span>
    </label>
  );
}

const ROLES: Record<string, [role: string, label: string][]> = {
  "text-classification": [["text", "Text is in"], ["label", "Its label is in"]],
  "text-generation": [["text", "Text is in"], ["prompt", "or: prompt in"], ["completion", "completion in"]],
};

// What the file holds, and which column is what.
function Rows({shown, doc, set}: {
  shown: Preview; doc: Doc; set: (path: string, value: Json | undefined) => void;
}) {
  const task = String(doc.task ?? "");
  const given = at(doc, "data.columns") as Record<string, string> | undefined;
  const guessed = rolesFor(task, shown.columns);
  const roles = given ?? guessed;
  const labels = distinct(shown, roles.label);
  const choose = (role: string, column: string) => {
    const next = {...roles};
    if (column === "") delete next[role];
    else next[role] = column;
    set("data.columns", columnsFor(next));
  };
  return (
    <div class="preview">
      <p><b>{shown.format}</b>{shown.columns.length > 0 && <> with {plural(shown.columns.length, "column")}</>}
        {labels.length > 0 && <span class="muted">; labels {labels.slice(0, 6).join(", ")}
          {labels.length > 6 && ", …"}</span>}</p>
      {shown.columns.length > 0 && ROLES[task] && (
        <div class="pair">
          {ROLES[task].map(([role, label]) => (
            <Field key={role} label={label}>
              <select value={roles[role] ?? ""} onChange={(event) => choose(role, event.currentTarget.value)}>
                <option value="">choose a column</option>
                {shown.columns.map((name) => <option key={name} value={name}>{name}</option>)}
              </select>
            </Field>
          ))}
        </div>
      )}
      {labels.length > 50 && (
        <Notice kind="warn"><p>{plural(labels.length, "different label")} in the first rows: is
          that column the label?</p></Notice>
      )}
      {shown.trouble && <Notice kind="bad"><p>{shown.trouble}</p></Notice>}
      {shown.rows.length > 0 && (
        <div class="scroll"><table class="rows small">
          <thead><tr>{shown.columns.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
          <tbody>{shown.rows.slice(0, 4).map((row, i) => (
            <tr key={i}>{row.map((cell, j) => <td key={j}>{cell.length > 90 ? cell.slice(0, 90) + "…" : cell}</td>)}</tr>
          ))}</tbody>
        </table></div>
      )}
    </div>
  );
}

// ---- models --------------------------------------------------------------------------------------

interface Choice {
  name: string;
  note: string;
  files: () => Promise<ModelFile[]>;
}

// Models that jobs made, and base models that jobs of this cluster have used.
function useChoices(): Choice[] {
  const {jobs} = useLive();
  const models = useRead((stop) => get<{data: Model[]}>("/models", stop), []);
  const bases = new Map<string, Job>();
  for (const job of [...jobs.values()].sort((a, b) => a.sequence - b.sequence)) {
    if (!job.model.startsWith("ft:") && !isInPlace(job.model)) bases.set(job.model, job);
  }
  return [
    ...[...bases].map(([name, job]) => ({
      name,
      note: `base, as in ${job.name}`,
      files: async () => {
        const spec = await get<Json>(`/jobs/${job.id}/spec`);
        return (at(spec, "inputs.model") as unknown as ModelFile[] | undefined) ?? [];
      },
    })),
    ...(models.value?.data ?? []).map((model) => ({
      name: model.id,
      note: `${model.name}, ${model.task}`,
      files: () => filesOfModel(model.id),
    })),
  ];
}

function ModelField({doc, set, know}: {
  doc: Doc; set: (path: string, value: Json | undefined) => void;
  know: (model: string, files: ModelFile[]) => void;
}) {
  const choices = useChoices();
  const chosen = String(at(doc, "model") ?? "");
  const [busy, setBusy] = useState("");
  const choose = async (name: string) => {
    const choice = choices.find((each) => each.name === name);
    if (!choice) return;
    know(name, await choice.files());
    set("model", name);
  };
  const takeFolder = async (files: FileList | null) => {
    const list = [...(files ?? [])].filter((file) =>
      MODEL_FILE.test(file.name) && file.webkitRelativePath.split("/").length === 2);
    const folder = list[0]?.webkitRelativePath.split("/")[0];
    if (!folder || !list.some((file) => file.name === "config.json") ||
        !list.some((file) => file.name.endsWith(".safetensors"))) {
      tell("That folder is no Hugging Face model", "It needs config.json and *.safetensors.", true);
      return;
    }
    const inputs: ModelFile[] = [];
    try {
      for (const file of list) {
        setBusy(`Uploading ${file.name}…`);
        inputs.push({path: file.name, ...await upload(file)});
      }
      inputs.sort((a, b) => (a.path < b.path ? -1 : 1));
      know(folder, inputs);
      set("model", folder);
    } catch (error) {
      tell(said(error), "", true);
    } finally {
      setBusy("");
    }
  };
  return (
    <div class="field">
      <label for="model-choice">Model</label>
      <select id="model-choice" value={choices.some((each) => each.name === chosen) ? chosen : ""}
              onChange={(event) => void choose(event.currentTarget.value).catch((e) => tell(said(e), "", true))}>
        <option value="">{chosen === "" ? "choose one" : chosen}</option>
        {choices.map((each) => <option key={each.name} value={each.name}>{each.name} · {each.note}</option>)}
      </select>
      <label class="drop small">
        <input type="file" multiple aria-label="a model's folder"
               ref={(node) => node?.setAttribute("webkitdirectory", "")}
               onChange={(event) => void takeFolder(event.currentTarget.files)} />
        <Icon name="models" /><span>{busy || "Or upload the folder of a Hugging Face model"}</span>
      </label>
    </div>
  );
}

// ---- the spec's text -----------------------------------------------------------------------------

function Editor({text, problems, set}: {
  text: string; problems: Problem[]; set: (text: string) => void;
}) {
  const gutter = useRef<HTMLDivElement>(null);
  const bad = new Map(problems.filter((each) => each.line !== null)
    .map((each) => [each.line!, each.message]));
  const lines = text.split("\n").length;
  return (
    <div class="editor">
      <div class="gutter" ref={gutter} aria-hidden="true">
        {Array.from({length: lines}, (_, i) => (
          <span key={i} class={bad.has(i + 1) ? "wrong" : ""} title={bad.get(i + 1)}>{i + 1}</span>
        ))}
      </div>
      <textarea id="spec" aria-label="the spec as YAML" spellcheck={false} wrap="off" value={text}
                aria-invalid={problems.length > 0}
                onScroll={(event) => { gutter.current!.scrollTop = event.currentTarget.scrollTop; }}
                onInput={(event) => set(event.currentTarget.value)} />
    </div>
  );
}

function Problems({problems}: {problems: Problem[]}) {
  const jump = (problem: Problem) => {
    const area = document.getElementById("spec") as HTMLTextAreaElement;
    const before = area.value.split("\n").slice(0, problem.line! - 1).join("\n").length + 1;
    const place = (problem.line === 1 ? 0 : before) + (problem.column ?? 1) - 1;
    area.focus();
    area.setSelectionRange(place, place);
  };
  return (
    <ul class="problems" aria-live="polite" aria-label="problems">
      {problems.map((each, i) => (
        <li key={i}>
          {each.line === null ? <span class="place">{each.where || "here"}</span> : (
            <button type="button" class="place" onClick={() => jump(each)}>line {each.line}</button>
          )}
          <span>{each.message}{each.hint && <em> {each.hint}</em>}</span>
        </li>
      ))}
    </ul>
  );
}

// ---- the page ------------------------------------------------------------------------------------

export function NewJob() {
  useTitle("New job");
  const {cluster, session} = useLive();
  const draft = useDraft();
  const {doc, known, checked} = draft;
  const [shown, setShown] = useState<Preview | null>(null);
  const [estimate, setEstimate] = useState<{estimate: Estimate; report: Doc} | null>(null);
  const [failure, setFailure] = useState<unknown>();
  const ready = checked?.spec ? withInputs(checked.spec, known) : null;
  const problems = [...(checked?.problems ?? []), ...(ready?.missing ?? [])];
  const set = (path: string, value: Json | undefined) => {
    setEstimate(null);
    draft.set(path, value);
  };

  const takeData = (name: "train" | "eval") => async (file: File) => {
    const looked = await preview(file);
    const blob = await upload(file);
    draft.setKnown((was) => ({...was, data: {...was.data, [file.name]: {path: file.name, ...blob}}}));
    let next = put(doc, "data." + name, file.name);
    if (name === "train") {
      setShown(looked);
      const task = taskFor(looked.columns) ?? String(doc.task);
      next = put(next, "task", task);
      next = put(next, "data.columns", columnsFor(rolesFor(task, looked.columns)));
      if (at(next, "name") === START.name) {
        const stem = file.name.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 50);
        if (/^[A-Za-z0-9]/.test(stem)) next = put(next, "name", stem);
      }
    }
    setEstimate(null);
    draft.change(next);
  };
  const know = (model: string, files: ModelFile[]) =>
    draft.setKnown((was) => ({...was, models: {...was.models, [model]: files}}));
  const dryRun = async () => {
    setFailure(undefined);
    try {
      setEstimate(await api("POST", "/inspect", {spec: ready!.spec}));
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
  const evaluation = at(doc, "data.eval");
  const train = String(at(doc, "data.train") ?? "");
  const ranksMax = Number(at(doc, "resources.ranks.max") ?? 1);
  const sizes = [1, 2, 4, 8, 16, 32].filter((n) => n <= Math.max(cluster?.slots.total ?? 1, ranksMax, 2));
  const good = problems.length === 0 && ready !== null;
  return (
    <>
      <Heading title="New job">
        <Button disabled={!good} run={dryRun}>Estimate</Button>
        <Button kind="primary" icon="play" disabled={!good} run={submit}>Start</Button>
      </Heading>
      <Failure error={failure ?? draft.error} />
      <div class="columns even newjob">
        <div>
          <Panel title="1 · Data">
            <Drop label="training data" accept=".csv,.tsv,.jsonl,.ndjson,.json,.gz" take={takeData("train")}>
              {train && known.data[train]
                ? <><b>{train}</b>, {bytes(known.data[train].size_bytes)}. Drop another to replace it.</>
                : "Drop a CSV, TSV or JSON Lines file with your examples, or click to choose one"}
            </Drop>
            {shown && <Rows shown={shown} doc={doc} set={set} />}
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
              <Drop label="evaluation data" accept=".csv,.tsv,.jsonl,.ndjson,.json,.gz" take={takeData("eval")}>
                {evaluation && known.data[evaluation] ? <b>{evaluation}</b> : "Drop the file to evaluate on"}
              </Drop>
            )}
          </Panel>
          <Panel title="2 · Model">
            <div class="pair">
              <Field label="Task">
                <select value={String(doc.task ?? "")} onChange={(event) => set("task", event.currentTarget.value)}>
                  {[...new Set([...Object.keys(TASKS), String(doc.task ?? "")])].filter(Boolean).map((task) =>
                    <option key={task} value={task}>{TASKS[task] ?? task}</option>)}
                </select>
              </Field>
              <Field label="Name">
                <Typed value={String(doc.name ?? "")} maxLength={63} done={(text) => set("name", text)} />
              </Field>
            </div>
            <ModelField doc={doc} set={set} know={know} />
          </Panel>
          <Panel title="3 · Training">
            <div class="pair">
              <NumberField label="Epochs" doc={doc} path="training.num_train_epochs" set={set}
                           hint="times through the data" />
              <NumberField label="Learning rate" doc={doc} path="training.learning_rate" set={set}
                           hint="5e-5 suits most models" />
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
        <div class="side">
          <Panel title="Spec" aside={
            <span class={problems.length > 0 ? "bad" : "muted"} role="status">
              {checked === null ? "checking…" : problems.length > 0 ? plural(problems.length, "problem")
                : <><Icon name="check" /> ready to start</>}
            </span>
          }>
            <Editor text={draft.text} problems={checked?.problems ?? []}
                    set={(text) => { setEstimate(null); draft.setText(text); }} />
            <Problems problems={problems} />
            {checked?.notes.map((note) => <p key={note} class="faint">{note}</p>)}
          </Panel>
          {estimate && (
            <Panel title="Estimate">
              {estimate.estimate.warnings.map((each) => <Notice key={each} kind="warn"><p>{each}</p></Notice>)}
              <Facts rows={[
                ["Rows", count(estimate.estimate.rows)],
                ["Tokens per epoch", count(estimate.estimate.tokens)],
                ["Steps", count(estimate.estimate.total_steps)],
                ["Memory per rank", bytes(estimate.estimate.memory_bytes_per_rank)],
                ["Disk", bytes(estimate.estimate.disk_bytes)],
                ["Would start", estimate.estimate.start_at ? until(estimate.estimate.start_at) : "not known"],
                ...[...flatten(estimate.report)]
                  .filter(([name]) => /^(format|columns|labels|num_labels)/.test(name)).slice(0, 8)
                  .map(([name, value]): [string, ComponentChildren] =>
                    [name, value.replace(/^\[|\]$/g, "").replaceAll('"', "").replaceAll(",", ", ").slice(0, 300)]),
              ]} />
            </Panel>
          )}
        </div>
      </div>
    </>
  );
}
