// Curves: uPlot with the page's colours. Drag zooms, a double click goes back; all charts of a page
// share the hovered position.
import {useEffect, useRef, useState} from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import {bytes, clock, count, duration, number} from "./format";
import type {Curve} from "./types";

export interface Series {
  label: string;
  x: number[];
  y: (number | null)[];
  color?: number; // of the palette
  dashed?: boolean;
  points?: boolean;
}

export type Unit = "number" | "count" | "bytes" | "percent" | "seconds";

const COLORS = 10;
const shared = uPlot.sync("page");

function color(index: number): string {
  return getComputedStyle(document.documentElement)
    .getPropertyValue(`--c${index % COLORS}`).trim() || "#3457d5";
}

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function show(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined) return "–";
  if (unit === "bytes") return bytes(value);
  if (unit === "percent") return `${Number((100 * value).toFixed(1))} %`;
  if (unit === "seconds") return duration(value);
  if (unit === "count") return count(value);
  return number(value);
}

// An exponential mean; 0 leaves the values as they are.
export function smooth(values: (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0) return values;
  let mean = 0;
  let sum = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    sum = weight * sum + (1 - weight);
    return mean / sum;
  });
}

export function seriesOf(curve: Curve | undefined, label: string, by: "step" | "time",
                         extra: Partial<Series> = {}): Series {
  const points = (curve?.points ?? []).filter((each) => by === "time" || each.step !== null);
  const sorted = by === "step"
    ? [...points].sort((a, b) => (a.step ?? 0) - (b.step ?? 0)) : points;
  return {
    label,
    x: sorted.map((each) => (by === "step" ? each.step! : Date.parse(each.at) / 1000)),
    y: sorted.map((each) => (Number.isFinite(each.value) ? each.value : null)),
    ...extra,
  };
}

// Steps between ticks that people find round.
function roundSteps(unit: Unit): number[] | undefined {
  if (unit === "count") return [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000];
  if (unit === "bytes") return Array.from({length: 45}, (_, i) => 2 ** i);
  return undefined;
}

// "14:05", with seconds or the day where the ticks need them.
function timeTick(at: number, every: number): string {
  const time = new Date(1000 * at);
  const day = time.toLocaleDateString("en-GB", {day: "numeric", month: "short"});
  if (every >= 86_400) return day;
  const text = time.toLocaleTimeString("en-GB");
  return every < 60 ? text : text.slice(0, 5);
}

function join(series: Series[]): uPlot.AlignedData {
  const tables = series.map((each) => [each.x, each.y] as unknown as uPlot.AlignedData);
  return series.length === 1 ? tables[0] : uPlot.join(tables);
}

function optionsFor(series: Series[], unit: Unit, time: boolean, log: boolean, low: number | null,
                    width: number, height: number): uPlot.Options {
  const axis = (size: number): uPlot.Axis => ({
    stroke: token("--muted"),
    grid: {stroke: token("--grid"), width: 1},
    ticks: {stroke: token("--grid"), width: 1, size: 4},
    font: "11px Inter, system-ui, sans-serif",
    size,
    gap: 4,
  });
  return {
    width,
    height,
    padding: [10, 8, 0, 0],
    cursor: {
      sync: {key: shared.key, setSeries: false},
      points: {size: 7},
      drag: {x: true, y: false, uni: 20},
    },
    legend: {live: true, markers: {width: 2}},
    scales: {
      x: {time},
      y: {
        distr: log ? 3 : 1,
        range: (_, min, max) => {
          if (min === null || max === null) return [0, 1];
          const from = low === null ? min : Math.min(low, min);
          if (log) return [from * 0.9, max * 1.1];
          const pad = (max - from || Math.abs(max) || 1) * 0.06;
          return [low === null ? from - pad : from, max + pad];
        },
      },
    },
    axes: [
      {
        ...axis(30), space: time ? 70 : 50,
        values: (_, ticks) => ticks.map((t) => (time ? timeTick(t, ticks[1] - ticks[0]) : number(t))),
      },
      {
        ...axis(56), incrs: roundSteps(unit),
        values: (_, ticks) => ticks.map((t) => (t === null ? "" : show(t, unit))),
      },
    ],
    series: [
      {
        label: time ? "time" : "step",
        value: (_, v) => (v === null ? "–" : time ? clock(new Date(v * 1000).toISOString()) : number(v)),
      },
      ...series.map((each, i): uPlot.Series => ({
        label: each.label,
        stroke: color(each.color ?? i),
        width: 1.6,
        dash: each.dashed ? [5, 4] : undefined,
        spanGaps: true,
        points: {show: (u) => each.points === true || u.data[0].length < 3, size: 5},
        value: (_, v) => show(v, unit),
      })),
    ],
  };
}

// While nobody points at it, a legend tells the newest values.
function restAtLast(plot: uPlot): void {
  if (plot.cursor.idx != null) return;
  const idxs = plot.data.map((values) => {
    let at = values.length - 1;
    while (at > 0 && values[at] == null) at -= 1;
    return Math.max(0, at);
  });
  if (plot.data[0].length > 0) plot.setLegend({idx: idxs[0], idxs}, false);
}

// Whether less than all of the points is in sight.
function isPart(plot: uPlot): boolean {
  const xs = plot.data[0];
  const {min, max} = plot.scales.x;
  if (xs.length < 2 || min == null || max == null) return false;
  return min > xs[0] || max < xs[xs.length - 1];
}

export function Chart(props: {
  title: string; series: Series[]; unit?: Unit; time?: boolean; log?: boolean; low?: number | null;
  height?: number; bands?: boolean;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const zoomed = useRef(false);
  const [part, setPart] = useState(false); // what zoomed says, for what is drawn
  const {series, unit = "number", time = false, log = false, low = null, height = 190} = props;
  const shape = JSON.stringify([
    series.map((each) => [each.label, each.color, each.dashed]), unit, time, log, low, height,
  ]);
  const empty = series.every((each) => each.x.length === 0);

  useEffect(() => {
    if (empty || !box.current) return;
    const node = box.current;
    const make = () => {
      plot.current?.destroy();
      const options = optionsFor(series, unit, time, log, low, node.clientWidth, height);
      options.hooks = {
        setScale: [(u, key) => { if (key === "x") setPart(zoomed.current = isPart(u)); }],
        setCursor: [restAtLast],
        setData: [restAtLast],
        ready: [restAtLast],
      };
      plot.current = new uPlot(options, join(series), node);
      shared.sub(plot.current);
    };
    make();
    const size = new ResizeObserver(() => {
      if (plot.current && node.clientWidth > 0 && node.clientWidth !== plot.current.width) {
        plot.current.setSize({width: node.clientWidth, height});
      }
    });
    size.observe(node);
    window.addEventListener("themechange", make);
    return () => {
      size.disconnect();
      window.removeEventListener("themechange", make);
      if (plot.current) shared.unsub(plot.current);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, empty]);

  useEffect(() => {
    // What someone zoomed into stays where it is while points come.
    if (!plot.current || plot.current.select.width > 0) return; // somebody drags
    plot.current.setData(join(series), !zoomed.current);
    if (zoomed.current) plot.current.redraw();
  }, [series]);

  const last = series.map((each) => `${each.label} ${show(each.y.at(-1), unit)}`).join(", ");
  return (
    <figure class="chart" data-chart={props.title}>
      {(props.title || part) && <figcaption>
        {props.title}
        {part && !empty && (
          <button type="button" class="quiet" onClick={() => plot.current?.setData(join(series), true)}>
            Show all</button>
        )}
      </figcaption>}
      {empty ? <div class="nodata">no values yet</div>
        : <div ref={box} role="img" aria-label={`${props.title}: ${last}`} />}
    </figure>
  );
}
