// Fields of a form that stand for fields of a spec.
import {useState} from "preact/hooks";
import type {ComponentChildren} from "preact";
import type {Doc, Json} from "../types";
import {said} from "../api";
import {Field, Icon, tell} from "../parts";
import {at, numeral} from "../yaml";

export type Set = (path: string, value: Json | undefined) => void;

// What is being typed stays as it is until it is left, whatever is drawn meanwhile.
export function Typed({value, done, decimal, maxLength}: {
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

export function NumberField(props: {
  label: string; doc: Doc; path: string; hint?: string; set: Set;
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

// A field of a few values; the first, "", is to leave it out.
export function ChoiceField(props: {
  label: string; doc: Doc; path: string; hint?: string; set: Set; choices: readonly (readonly [value: string, label: string])[];
}) {
  return (
    <Field label={props.label} hint={props.hint}>
      <select value={written(at(props.doc, props.path))}
              onChange={(event) => props.set(props.path, event.currentTarget.value || undefined)}>
        {props.choices.map(([value, label]) => <option key={value} value={value}>{label}</option>)}
      </select>
    </Field>
  );
}

export function Switch({label, on, turn}: {label: string; on: boolean; turn: (on: boolean) => void}) {
  return (
    <label class="switch">
      <input type="checkbox" checked={on} onChange={(event) => turn(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

export function Drop({label, accept, take, children}: {
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
