// What a job's ranks wrote: the newest lines, followed, searched, of all ranks or one.
import {useEffect, useRef, useState} from "preact/hooks";
import type {Job, LogLine} from "../types";
import {FINISHED} from "../types";
import {get, part} from "../api";
import {clock} from "../format";
import {Empty, Failure, Panel} from "../parts";

const TAIL = 500;
const LINES_MAX = 5000;
const EVERY_MS = 1500;

interface Page {
  attempt: number;
  data: LogLine[];
  next: string | null;
  more: boolean;
}

export function Logs({job}: {job: Job}) {
  const [rank, setRank] = useState("");
  const [attempt, setAttempt] = useState("");
  const [text, setText] = useState("");
  const [query, setQuery] = useState("");
  const [follow, setFollow] = useState(true);
  const [lines, setLines] = useState<LogLine[] | null>(null);
  const [error, setError] = useState<unknown>();
  const box = useRef<HTMLDivElement>(null);
  const finished = FINISHED.has(job.state);

  useEffect(() => {
    const timer = window.setTimeout(() => setQuery(text), 250);
    return () => window.clearTimeout(timer);
  }, [text]);

  useEffect(() => {
    let stopped = false;
    let timer = 0;
    let next: string | null = null;
    const filter = new URLSearchParams();
    if (rank) filter.set("rank", rank);
    if (attempt) filter.set("attempt", attempt);
    if (query) filter.set("q", query);
    setLines(null);
    const read = async () => {
      const asked = new URLSearchParams(filter);
      if (next === null) asked.set("tail", String(TAIL));
      else asked.set("after", next);
      try {
        const page = await get<Page>(`/jobs/${part(job.id)}/logs/lines?${asked}`);
        if (stopped) return;
        const first = next === null;
        next = page.next;
        setError(undefined);
        if (first) setLines(page.data);
        else if (page.data.length > 0) {
          setLines((known) => [...(known ?? []), ...page.data].slice(-LINES_MAX));
        }
      } catch (failed) {
        if (!stopped) setError(failed);
      }
      if (!stopped && !finished) timer = window.setTimeout(read, EVERY_MS);
    };
    void read();
    return () => {
      stopped = true;
      window.clearTimeout(timer);
    };
  }, [job.id, job.attempt, rank, attempt, query, finished]);

  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);

  const ranks = Math.max(job.ranks.max, ...job.attempts.map((each) => each.ranks));
  const scrolled = () => {
    const node = box.current!;
    setFollow(node.scrollHeight - node.scrollTop - node.clientHeight < 24);
  };
  return (
    <Panel title="Logs" flush aside={
      <div class="tools">
        <input type="search" placeholder="Lines with…" aria-label="only lines with this text"
               value={text} onInput={(event) => setText(event.currentTarget.value)} />
        <select aria-label="rank" value={rank} onChange={(event) => setRank(event.currentTarget.value)}>
          <option value="">all ranks</option>
          {Array.from({length: ranks}, (_, i) => <option key={i} value={i}>rank {i}</option>)}
        </select>
        <select aria-label="attempt" value={attempt}
                onChange={(event) => setAttempt(event.currentTarget.value)}>
          <option value="">newest attempt</option>
          {job.attempts.map((each) => (
            <option key={each.attempt} value={each.attempt}>attempt {each.attempt}</option>
          ))}
        </select>
        <label><input type="checkbox" checked={follow} onChange={() => setFollow(!follow)} /> follow</label>
      </div>
    }>
      <Failure error={error} />
      <div ref={box} class="log" onScroll={scrolled} tabIndex={0} role="log" aria-label="log lines">
        {lines?.map((line) => (
          <div key={`${line.attempt}.${line.rank}.${line.number}`}>
            <time>{clock(line.at)}</time><b class={`r${line.rank % 8}`}>{line.rank}</b>
            <span>{line.line}</span>
          </div>
        ))}
        {lines?.length === 0 && (
          <Empty title={query ? `No line has "${query}"` : "Nothing was written"} />
        )}
        {lines === null && !error && <div class="loading" role="status">Reading…</div>}
      </div>
    </Panel>
  );
}
