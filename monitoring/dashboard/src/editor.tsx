// A spec's text with line numbers, and what is wrong with it: at its line, and in words.
import {useRef} from "preact/hooks";
import type {Problem} from "./types";

export function Editor({text, problems, set}: {
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

export function Problems({problems}: {problems: Problem[]}) {
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
