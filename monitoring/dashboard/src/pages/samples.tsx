// What a language model answered at its evaluations, by step.
import {useEffect, useState} from "preact/hooks";
import type {Job} from "../types";
import {get, part} from "../api";
import {Failure, Panel, useRead} from "../parts";

interface Sample {prompt: string; answer: string; expected: string; ended: boolean}
interface Evaluation {step: number; at: string; samples: Sample[]}

const WRITTEN_MS = 3000; // until an evaluation that was just told stands in the history

export function Samples({job}: {job: Job}) {
  const [step, setStep] = useState<number>(); // none: the newest
  const generates = job.task === "text-generation";
  const read = useRead<{data: Evaluation[]}>(async (stop) => generates
    ? get(`/jobs/${part(job.id)}/samples`, stop) : {data: []}, [job.id, job.eval?.step, job.state]);
  useEffect(() => {
    if (!generates || !job.eval) return;
    const timer = window.setTimeout(read.again, WRITTEN_MS);
    return () => window.clearTimeout(timer);
  }, [job.id, job.eval?.step]);
  if (read.error) return <Failure error={read.error} again={read.again} />;
  const all = read.value?.data ?? [];
  const shown = all.find((each) => each.step === step) ?? all.at(-1);
  if (!shown) return null;
  return (
    <Panel title="Answers" aside={
      <label>at step <select value={shown.step}
        onChange={(event) => setStep(Number(event.currentTarget.value))}>
        {[...all].reverse().map((each) => <option key={each.step} value={each.step}>{each.step}</option>)}
      </select></label>
    }>
      <div class="scroll">
        <table class="rows small samples">
          <thead><tr><th>Prompt</th><th>Answer</th><th>Expected</th></tr></thead>
          <tbody>
            {shown.samples.map((each, i) => (
              <tr key={i}>
                <td>{each.prompt}</td>
                <td>{each.answer}{!each.ended && <span class="faint" title="cut at evaluation.max_new_tokens"> …</span>}</td>
                <td>{each.expected}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
