// Runs side by side; which ones and what is shown stand in the address.
import {useEffect, useState} from "preact/hooks";
import type {Curve, Job, Json} from "../types";
import {get, part} from "../api";
import {Chart, seriesOf, smooth} from "../chart";
import {count, duration, number, words} from "../format";
import {metricsOf, ranSeconds} from "../jobfacts";
import {useEvents, useLive} from "../live";
import {Badge, Empty, Failure, Heading, JobName, Panel, SpecDiff, useRead, useTitle} from "../parts";
import {setQuery, usePlace} from "../route";
import {differences} from "../yaml";

const RUNS_MAX = 20;
const POINTS = 400;

function Picker({chosen}: {chosen: string[]}) {
  const {jobs} = useLive();
  const [text, setText] = useState("");
  const all = [...jobs.values()].sort((a, b) => b.sequence - a.sequence)
    .filter((job) => job.progress !== null || chosen.includes(job.id))
    .filter((job) => text === "" || job.name.includes(text) || job.id.includes(text));
  const toggle = (id: string) => {
    const next = chosen.includes(id) ? chosen.filter((each) => each !== id) : [...chosen, id];
    setQuery({jobs: next.slice(-RUNS_MAX).join(",") || null});
  };
  return (
    <Panel title="Runs" flush aside={<span class="muted">{chosen.length} of at most {RUNS_MAX}</span>}>
      <div class="pick">
        <input type="search" placeholder="Name or id" aria-label="filter runs" value={text}
               onInput={(event) => setText(event.currentTarget.value)} />
      </div>
      <ul class="list picks">
        {all.slice(0, 100).map((job) => (
          <li key={job.id}>
            <label>
              <input type="checkbox" checked={chosen.includes(job.id)} onChange={() => toggle(job.id)} />
              <span><b>{job.name}</b> <code class="faint">{job.id}</code></span>
              <Badge state={job.state} />
            </label>
          </li>
        ))}
        {all.length === 0 && <Empty title="No run has curves yet" />}
      </ul>
    </Panel>
  );
}

export function Compare() {
  useTitle("Compare");
  const {query} = usePlace();
  const {jobs} = useLive();
  const ids = (query.get("jobs") ?? "").split(",").filter(Boolean).slice(0, RUNS_MAX);
  const metric = query.get("metric") ?? "loss";
  const weight = Number(query.get("smooth") ?? 0) || 0;
  const by = query.get("by") === "time" ? "time" : "step";
  const key = ids.join(",");
  const [turn, setTurn] = useState(0);
  const [stale, setStale] = useState(false);
  useEvents((event) => { if (ids.includes(event.job)) setStale(true); }, [key]);
  useEffect(() => {
    if (!stale) return;
    const timer = window.setTimeout(() => { setStale(false); setTurn((n) => n + 1); }, 3000);
    return () => window.clearTimeout(timer);
  }, [stale]);
  const read = useRead(async (stop) => Promise.all(ids.map(async (id) => ({
    job: await get<Job>(`/jobs/${part(id)}`, stop),
    curves: (await get<{data: Curve[]}>(`/jobs/${part(id)}/metrics?points=${POINTS}`, stop)).data,
  }))), [key, turn]);
  const specs = useRead(async (stop) => Promise.all(ids.map((id) =>
    get<Json>(`/jobs/${part(id)}/spec`, stop))), [key]);
  const runs = (read.value ?? []).filter((run) => ids.includes(run.job.id) || ids.includes(run.job.name));
  const names = [...new Set(runs.flatMap((run) => run.curves.map((curve) => curve.name)))].sort();
  const rows = specs.value?.length === ids.length ? differences(specs.value) : [];
  const series = runs.map((run, i) => {
    const one = seriesOf(run.curves.find((curve) => curve.name === metric), run.job.name, by,
                         {color: i % 10, dashed: i >= 10, points: metric.startsWith("eval.")});
    // Over time: seconds since the run's own start.
    if (by === "time" && one.x.length > 0) one.x = one.x.map((at, _, all) => at - all[0]);
    return {...one, y: smooth(one.y, weight)};
  });
  const label = (id: string) => jobs.get(id)?.name ?? id;
  return (
    <>
      <Heading title="Compare" />
      <div class="columns wide-left flip">
        <div>
          <Panel title={words(metric)} aside={
            <div class="tools">
              <label>curve <select value={metric}
                onChange={(event) => setQuery({metric: event.currentTarget.value})}>
                {(names.length > 0 ? names : ["loss"]).map((name) => <option key={name} value={name}>{words(name)}</option>)}
              </select></label>
              <label>smooth <input type="range" min="0" max="0.95" step="0.05" value={weight}
                onInput={(event) => setQuery({smooth: event.currentTarget.value === "0" ? null
                  : event.currentTarget.value})} /></label>
              <label>over <select value={by} onChange={(event) => setQuery({by: event.currentTarget.value})}>
                <option value="step">steps</option><option value="time">seconds</option></select></label>
            </div>
          }>
            <Failure error={read.error} again={read.again} />
            {ids.length === 0 ? <Empty title="Choose runs to lay over one another">Up to {RUNS_MAX}. The
              address keeps what you chose: send it to somebody.</Empty>
              : <Chart title="" series={series} height={330} />}
          </Panel>
          {runs.length > 0 && (
            <Panel title="Results" flush>
              <div class="scroll">
                <table class="rows">
                  <thead><tr><th scope="col">Run</th><th scope="col">State</th>
                    <th scope="col" class="num">Steps</th><th scope="col" class="num">Loss</th>
                    {["accuracy", "macro_f1", "loss"].map((name) => (
                      <th key={name} scope="col" class="num">Eval {words(name)}</th>))}
                    <th scope="col" class="num">Tokens/s</th><th scope="col" class="num">Took</th></tr></thead>
                  <tbody>
                    {runs.map(({job}) => {
                      const known = metricsOf(job);
                      return (
                        <tr key={job.id}>
                          <td><JobName job={job} /></td><td><Badge state={job.state} /></td>
                          <td class="num">{count(job.progress?.step)}</td>
                          <td class="num">{number(job.progress?.loss)}</td>
                          {["accuracy", "macro_f1", "loss"].map((name) => (
                            <td key={name} class="num">{number(known[name])}</td>))}
                          <td class="num">{count(job.progress?.tokens_per_second)}</td>
                          <td class="num">{duration(ranSeconds(job))}</td>
                        </tr>
                      );
                    })}
                  </tbody>
                </table>
              </div>
            </Panel>
          )}
          {ids.length > 1 && (
            <Panel title="Where the specs differ" flush>
              <Failure error={specs.error} again={specs.again} />
              {rows.length === 0 ? <Empty title="Nowhere" /> : <SpecDiff jobs={ids.map(label)} rows={rows} />}
            </Panel>
          )}
        </div>
        <Picker chosen={ids} />
      </div>
    </>
  );
}
