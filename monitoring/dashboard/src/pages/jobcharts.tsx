// A job's curves, and where the time of a step goes.
import {useState} from "preact/hooks";
import type {Job, Point} from "../types";
import {FINISHED} from "../types";
import {Chart, seriesOf, smooth, type Series, type Unit} from "../chart";
import {duration, percent, words} from "../format";
import {Empty, Panel} from "../parts";

type Curves = Map<string, Point[]>;

export function JobCharts({job, curves}: {job: Job; curves: Curves}) {
  const [by, setBy] = useState<"step" | "time">("step");
  const [weight, setWeight] = useState(0);
  const [log, setLog] = useState(false);
  const line = (name: string, label: string, extra: Partial<Series> = {}, soft = false): Series => {
    const series = seriesOf({name, points: curves.get(name) ?? []}, label, by, extra);
    return soft ? {...series, y: smooth(series.y, weight)} : series;
  };
  const evals = [...curves.keys()].filter((name) => name.startsWith("eval.") && name !== "eval.loss")
    .sort();
  const predicted = job.estimate?.memory_bytes_per_rank;
  const memory = line("memory_bytes", "largest rank", {color: 7});
  const charts: {title: string; series: Series[]; unit?: Unit; log?: boolean; low?: number}[] = [
    {title: "Loss", log,
     series: [line("loss", "train", {color: 0}, true),
              ...(curves.has("eval.loss") ? [line("eval.loss", "eval", {color: 1, points: true})] : [])]},
    ...(evals.length > 0 ? [{title: "Evaluation", series: evals.map((name, i) =>
      line(name, words(name.slice(5)), {color: i + 2, points: true}))}] : []),
    {title: "Learning rate", low: 0, series: [line("learning_rate", "learning rate", {color: 6})]},
    {title: "Gradient norm", series: [line("grad_norm", "norm", {color: 4}, true)]},
    {title: "Tokens per second", low: 0,
     series: [line("tokens_per_second", "tokens/s", {color: 5}, true)]},
    {title: "Memory", unit: "bytes", low: 0,
     series: predicted && memory.x.length > 0
       ? [memory, {label: "predicted", color: 6, dashed: true, x: memory.x,
                   y: memory.x.map(() => predicted)}]
       : [memory]},
  ];
  if (curves.size === 0) {
    return <Panel title="Curves"><Empty title={FINISHED.has(job.state) ? "It made no step"
      : "They come with its first steps"} /></Panel>;
  }
  return (
    <Panel title="Curves" aside={
      <div class="tools">
        <label><input type="checkbox" checked={log} onChange={() => setLog(!log)} /> log loss</label>
        <label>smooth <input type="range" min="0" max="0.95" step="0.05" value={weight}
          onInput={(event) => setWeight(Number(event.currentTarget.value))} /></label>
        <label>over <select value={by}
          onChange={(event) => setBy(event.currentTarget.value as "step" | "time")}>
          <option value="step">steps</option><option value="time">time</option>
        </select></label>
      </div>
    }>
      <div class="charts">
        {charts.map((each) => <Chart key={each.title} {...each} time={by === "time"} />)}
      </div>
      <p class="faint">Drag over a chart to zoom in.</p>
    </Panel>
  );
}

const PHASES = ["data", "forward", "backward", "reduce", "update", "checkpoint"];
const RECENT = 20;

export function Phases({curves}: {curves: Curves}) {
  const means = PHASES.map((name) => {
    const values = (curves.get("phase_seconds." + name) ?? []).slice(-RECENT)
      .map((each) => each.value).filter(Number.isFinite);
    return values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;
  });
  const total = means.reduce((a, b) => a + b, 0);
  return (
    <Panel title="A step's time" aside={total > 0 ? <b class="num">{duration(total)}</b> : null}>
      {total === 0 ? <Empty title="Measured with the first steps" /> : (
        <>
          <div class="phases" role="img"
               aria-label={PHASES.map((name, i) => `${name} ${percent(means[i], total).toFixed(0)} %`).join(", ")}>
            {means.map((mean, i) => <span key={i} class={`p${i}`} style={{flexGrow: percent(mean, total)}} />)}
          </div>
          <table class="legend">
            <tbody>
              {PHASES.map((name, i) => (
                <tr key={name}>
                  <th scope="row"><i class={`dot p${i}`} />{name}</th>
                  <td class="num">{duration(means[i])}</td>
                  <td class="num">{percent(means[i], total).toFixed(0)} %</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </Panel>
  );
}
