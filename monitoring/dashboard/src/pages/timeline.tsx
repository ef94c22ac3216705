// A job's life: attempts over time with their checkpoints, and every event below.
import {useLayoutEffect, useRef, useState} from "preact/hooks";
import type {Event, Job} from "../types";
import {FINISHED} from "../types";
import {clock, duration, moment, plural} from "../format";
import {Empty, Panel} from "../parts";
import {eventText} from "../story";

const LANE = 34;
const LEFT = 8;
const TOP = 22;

function outcome(job: Job, attempt: Job["attempts"][number]): string {
  if (attempt.ended_at === null && !FINISHED.has(job.state)) return "running";
  if (attempt.reason === null) return job.state === "succeeded" ? "succeeded" : "cancelled";
  const soft = ["pause", "paused", "resize", "preempt", "preempted", "drain", "cancel", "requested"];
  return soft.some((word) => attempt.reason!.startsWith(word)) ? "paused" : "failed";
}

export function Timeline({job, events}: {job: Job; events: Event[]}) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(800);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => box.current && setWidth(box.current.clientWidth));
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  const from = Date.parse(job.submitted_at);
  const to = Math.max(job.finished_at ? Date.parse(job.finished_at) : Date.now(), from + 1000);
  const x = (at: string | number) =>
    LEFT + ((typeof at === "number" ? at : Date.parse(at)) - from) / (to - from) * (width - 2 * LEFT);
  const ticks = Array.from({length: width > 600 ? 6 : 4}, (_, i, all = width > 600 ? 6 : 4) =>
    from + ((to - from) * i) / (all - 1));
  const height = TOP + LANE * (job.attempts.length + 1) + 6;
  const lane = (n: number) => TOP + LANE * n;
  const marks = events.filter((event) =>
    ["checkpoint", "attempt_failed", "released", "resized"].includes(event.type));
  return (
    <>
      <Panel title="Attempts" aside={
        <ul class="keyline" aria-label="key">
          <li><i class="dot t-waiting" />waiting</li><li><i class="dot t-running" />running</li>
          <li><i class="dot t-paused" />gave way</li><li><i class="dot t-failed" />failed</li>
          <li><i class="dot t-succeeded" />succeeded</li><li><i class="tick" />checkpoint</li>
        </ul>
      }>
        <div ref={box} class="timeline">
          <svg width={width} height={height} role="img"
               aria-label={`${job.attempts.length} attempts in ${duration((to - from) / 1000)}`}>
            {ticks.map((at, i) => (
              <g key={i}>
                <line class="grid" x1={x(at)} x2={x(at)} y1={TOP - 6} y2={height} />
                <text x={x(at)} y={11} text-anchor={i === 0 ? "start" : i === ticks.length - 1 ? "end" : "middle"}>
                  {clock(new Date(at).toISOString())}
                </text>
              </g>
            ))}
            <Lane y={lane(0)} from={x(from)} to={x(job.attempts[0]?.placed_at ?? to)} width={width}
                  kind="waiting" label="in the queue" />
            {job.attempts.map((attempt, i) => {
              const start = attempt.started_at ?? attempt.placed_at;
              const end = attempt.ended_at ?? (FINISHED.has(job.state) ? job.finished_at! : to);
              const why = attempt.reason ? `, ${attempt.reason}` : "";
              return (
                <g key={attempt.attempt}>
                  <Lane y={lane(i + 1)} from={x(start)} to={x(end)} width={width} kind={outcome(job, attempt)}
                        label={`${attempt.attempt}: ${plural(attempt.ranks, "rank")}${why}`} />
                  {marks.filter((event) => event.attempt === attempt.attempt).map((event) => (
                    <line key={event.seq} class={`mark m-${event.type}`} x1={x(event.at)} x2={x(event.at)}
                          y1={lane(i + 1) + LANE - 17} y2={lane(i + 1) + LANE - 11}>
                      <title>{clock(event.at)} {eventText(event)}</title>
                    </line>
                  ))}
                </g>
              );
            })}
          </svg>
        </div>
      </Panel>
      <Panel title="Events" flush>
        {events.length === 0 && <Empty title="No events yet" />}
        <ol class="feed">
          {[...events].reverse().map((event) => (
            <li key={event.seq} class={`e-${event.type}`}>
              <time dateTime={event.at} title={event.at}>{moment(event.at)}</time>
              <span>It {eventText(event)}</span>
            </li>
          ))}
        </ol>
      </Panel>
    </>
  );
}

const LABEL = 180; // as wide as the longest

// A bar; its label stands inside, or beside it where there is room.
function Lane({y, from, to, width, kind, label}: {
  y: number; from: number; to: number; width: number; kind: string; label: string;
}) {
  const wide = Math.max(3, to - from);
  const inside = wide > LABEL;
  const left = !inside && from + wide + LABEL > width;
  return (
    <g>
      <rect class={`t-${kind}`} x={from} y={y} width={wide} height={LANE - 10} rx={4}>
        <title>{label}</title>
      </rect>
      <text class="lane" x={inside ? from + 8 : left ? from - 6 : from + wide + 6} y={y + 14}
            text-anchor={left ? "end" : "start"} data-inside={inside ? "yes" : "no"}>{label}</text>
    </g>
  );
}
