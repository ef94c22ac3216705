// What jobs made: cards, files, where they come from, and a box to try them.
import {useEffect, useRef, useState} from "preact/hooks";
import type {Json, Model} from "../types";
import {api, get, part, said, streamed, text} from "../api";
import {ago, bytes, moment, number, shortDigest, words} from "../format";
import {metricsText} from "../jobfacts";
import {useLive} from "../live";
import {
  Bar, Copy, Empty, Facts, Failure, Heading, Icon, Panel, Stat, useRead, useTitle,
} from "../parts";
import {Markdown} from "../markdown";
import {modelPlace} from "../route";
import {at} from "../yaml";

export function Models() {
  useTitle("Models");
  const {cluster} = useLive();
  const [filter, setFilter] = useState("");
  const read = useRead((stop) => get<{data: Model[]}>("/models", stop), [cluster?.jobs.succeeded]);
  const shown = (read.value?.data ?? []).filter((model) => filter === "" ||
    [model.id, model.name, model.base, model.task].some((each) => each.toLowerCase().includes(filter)));
  return (
    <>
      <Heading title="Models">
        <input type="search" placeholder="Name, task or base" aria-label="filter models"
               onInput={(event) => setFilter(event.currentTarget.value.toLowerCase())} />
      </Heading>
      <Failure error={read.error} again={read.again} />
      <Panel flush>
        {read.value && shown.length === 0 ? (
          <Empty title={filter ? "No model matches" : "No models yet"}>
            {!filter && "Every job that succeeds leaves one here."}</Empty>
        ) : (
          <div class="scroll">
            <table class="rows">
              <thead><tr><th scope="col">Model</th><th scope="col">Task</th><th scope="col">Base</th>
                <th scope="col">Metrics</th><th scope="col">Made</th></tr></thead>
              <tbody>
                {shown.map((model) => (
                  <tr key={model.id}>
                    <td><a class="jobname" href={modelPlace(model.id)}><b>{model.name}</b>{" "}
                      <code>{model.id}</code></a></td>
                    <td>{model.task}</td><td><code class="path">{model.base}</code></td>
                    <td>{metricsText(Object.entries(model.metrics))}</td>
                    <td>{ago(model.created_at)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
    </>
  );
}

// A classifier's label with its score, or what a language model wrote.
interface Answer {
  label?: string;
  score?: number;
  text?: string;
}

const WORDS_MAX = 60; // tokens that a language model writes here

function TryBox({model}: {model: Model}) {
  const {session} = useLive();
  const [input, setInput] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [answers, setAnswers] = useState<{text: string; results: Answer[]}[]>([]);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const writes = model.task === "text-generation";
  if (session?.scope === "viewer") {
    return <Empty title="Trying needs a submitter's token" />;
  }
  const run = async (event: Event) => {
    event.preventDefault();
    const texts = writes ? [input] : input.split("\n").map((line) => line.trim()).filter(Boolean);
    if (texts.length === 0) return;
    const path = `/models/${part(model.id)}/try`;
    const stop = new AbortController();
    running.current = stop;
    setBusy(true);
    setError(undefined);
    try {
      if (writes) {
        await write(path, texts[0]!, stop.signal);
      } else {
        const {results} = await api<{results: Answer[][]}>("POST", path, {texts, top_k: 4});
        setAnswers(texts.map((each, i) => ({text: each, results: results[i] ?? []})));
      }
    } catch (failed) {
      if (!stop.signal.aborted) setError(failed);
    } finally {
      setBusy(false);
    }
  };
  // Shows the text as it grows; whoever leaves or stops it ends the model's work.
  const write = async (path: string, begin: string, signal: AbortSignal) => {
    let text = "";
    const show = () => setAnswers([{text: begin, results: [{text}]}]);
    show();
    const {results} = await streamed<{text: string}, {results: Answer[][]}>(
      path, {texts: [begin], stream: true, generation: {max_new_tokens: WORDS_MAX}}, signal, (piece) => {
        text += piece.text;
        show();
      });
    text = results[0]?.[0]?.text ?? text;
    show();
  };
  return (
    <form onSubmit={run} class="try">
      <textarea rows={3} value={input} aria-label="texts to try"
                placeholder={writes ? "How it begins; the model goes on" : "A text; more of them one a line"} onInput={(event) => setInput(event.currentTarget.value)} />
      <div class="actions">
        <button type="submit" class="primary" disabled={busy || input.trim() === ""}>
          {busy ? writes ? "Writing…" : "Asking…" : "Try"}</button>
        {busy && writes && <button type="button" onClick={() => running.current?.abort()}>Stop</button>}
        <span class="faint">Runs on a machine of the cluster; the first time loads the model.</span>
      </div>
      <Failure error={error} />
      {answers.map((answer) => (
        <div key={answer.text} class="answer">
          {writes
            ? <p class="written">{answer.text}<mark>{answer.results[0]?.text}</mark></p>
            : <p>{answer.text}</p>}
          {!writes && answer.results.map(({label = "", score = 0}) => (
            <div key={label} class="meter">
              <span>{label}</span>
              <Bar part={score} whole={1} label={label} />
              <span class="num">{(100 * score).toFixed(1)} %</span>
            </div>
          ))}
        </div>
      ))}
    </form>
  );
}

export function ModelPage({id}: {id: string}) {
  const {session} = useLive();
  const read = useRead((stop) => get<Model>(`/models/${part(id)}`, stop), [id]);
  const model = read.value;
  const hasCard = model?.files.some((file) => file.path === "README.md") ?? false;
  const card = useRead(async () =>
    hasCard ? text(`/models/${part(id)}/files/README.md`) : null, [id, hasCard]);
  const spec = useRead(async (stop) =>
    model ? get<Json>(`/jobs/${model.job}/spec`, stop).catch(() => null) : null, [model?.job]);
  useTitle(model?.name ?? id);
  if (!model) {
    return read.error ? <><Heading title={id} crumb={<a href="/ui/models">Models</a>} />
      <Failure error={read.error} again={read.again} /></>
      : <div class="loading" role="status">Reading the model…</div>;
  }
  const train = at(spec.value ?? undefined, "inputs.train.digest");
  const total = model.files.reduce((sum, file) => sum + file.size_bytes, 0);
  return (
    <>
      <Heading title={model.name} crumb={<><a href="/ui/models">Models</a> / <code>{model.id}</code></>}>
        <Copy text={model.id} what="the model's id" />
        {session?.scope !== "viewer" && (
          <a class="button primary" href={`/ui/new?model=${part(model.id)}`}><Icon name="plus" />
            <span>Train on from it</span></a>
        )}
      </Heading>
      <div class="stats">
        {Object.entries(model.metrics).slice(0, 4).map(([name, value]) => (
          <Stat key={name} label={words(name)} value={number(value)} note="of the final model" />
        ))}
        <Stat label="Size" value={bytes(total)} note={`${model.files.length} files`} />
      </div>
      <div class="columns">
        <div>
          <Panel title="Try it"><TryBox model={model} /></Panel>
          <Panel title="Card">
            {card.error ? <p class="muted">{said(card.error)}</p>
              : card.value ? <Markdown text={card.value} />
              : <Empty title="It has no card">A README.md among its files would be shown here.</Empty>}
          </Panel>
        </div>
        <div>
          <Panel title="Where it comes from">
            <Facts rows={[
              ["Job", <a href={`/ui/jobs/${model.job}`}>{model.job}</a>],
              ["Base", model.base.startsWith("ft:")
                ? <a href={modelPlace(model.base)}>{model.base}</a>
                : <code class="path">{model.base}</code>],
              ["Data", typeof train === "string" ? <code title={train}>{shortDigest(train)}</code> : "–"],
              ["Task", model.task],
              ["Made", moment(model.created_at)],
              ["Weights", <code title={model.digest}>{shortDigest(model.digest)}</code>],
              ["Folder", <code class="path">{model.path}</code>],
            ]} />
          </Panel>
          <Panel title="Files" flush>
            <table class="rows small">
              <thead><tr><th scope="col">File</th><th scope="col" class="num">Size</th></tr></thead>
              <tbody>
                {model.files.map((file) => (
                  <tr key={file.path}>
                    <td><a href={`/api/v1/models/${part(model.id)}/files/${file.path.split("/").map(part).join("/")}`}
                           download={file.path.split("/").at(-1)}>{file.path}</a></td>
                    <td class="num">{bytes(file.size_bytes)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Panel>
        </div>
      </div>
    </>
  );
}
