// Which model a new job begins with, and what of it is trained.
import {useState} from "preact/hooks";
import type {Doc, Job, Json, Model, ModelFile} from "../types";
import {get, said, upload} from "../api";
import {filesOfFolder, filesOfModel, isInPlace, type Change} from "../draft";
import {useLive} from "../live";
import {Icon, Radios, tell, useRead} from "../parts";
import {aim, goalOf, isAdapter} from "../shapes";
import {at} from "../yaml";
import {ChoiceField, NumberField, Switch, type Set} from "./specfields";

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

export function ModelField({doc, set, know}: {
  doc: Doc; set: Set;
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
    const list = [...(files ?? [])];
    const folder = list[0]?.webkitRelativePath.split("/")[0];
    const placed = filesOfFolder(list);
    if (!folder || !placed) {
      tell("That folder is no Hugging Face model",
        "It needs config.json and *.safetensors; an adapter its two files and its base in base/.", true);
      return;
    }
    const inputs: ModelFile[] = [];
    try {
      for (const [path, file] of placed) {
        setBusy(`Uploading ${path}…`);
        inputs.push({path, ...await upload(file)});
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

const HOW = {all: "all of it", adapter: "a small adapter (LoRA)"} as const;
const TEMPLATES = ["chatml", "gemma", "llama-3", "mistral", "zephyr"];
const LOSSES = ["hinge", "ipo", "robust", "sigmoid_smoothed"];

// How it learns: all weights or an adapter, and what is of language models alone.
export function MethodFields({doc, set, change}: {doc: Doc; set: Set; change: (update: Change) => void}) {
  const goal = goalOf(doc);
  if (goal === null) return null;
  const adapter = isAdapter(doc);
  const lora = goal === "prefer" ? "method.dpo.lora" : "method.lora";
  const talks = ["chat", "alpaca", "sharegpt", "preference"].includes(String(at(doc, "data.format")));
  return (
    <>
      <Radios legend="What of the model is trained" name="how" choices={Object.values(HOW)}
              chosen={adapter ? HOW.adapter : HOW.all}
              choose={(how) => change((was) => aim(was, goal, how === HOW.adapter))} />
      {adapter && (
        <div class="pair gap">
          <NumberField label="Adapter's rank" doc={doc} path={`${lora}.r`} set={set} hint="larger learns more, and takes more" />
          <NumberField label="Alpha" doc={doc} path={`${lora}.lora_alpha`} set={set} hint="often twice the rank" />
          <Switch label="In every linear layer" on={at(doc, `${lora}.target_modules`) === "all-linear"}
                  turn={(on) => set(`${lora}.target_modules`, on ? "all-linear" : undefined)} />
        </div>
      )}
      {goal === "prefer" && (
        <div class="pair gap">
          <NumberField label="How close it stays to the start" doc={doc} path="method.dpo.beta" set={set}
                       hint="beta: 0.1 is usual, more keeps closer" />
          <ChoiceField label="Loss" doc={doc} path="method.dpo.loss_type" set={set}
                       choices={[["", "sigmoid, the usual"], ...LOSSES.map((each) => [each, each] as const)]} />
        </div>
      )}
      {talks && (
        <ChoiceField label="How conversations are written" doc={doc} path="data.chat_template" set={set}
                     hint="a base model that has never seen one needs a choice here"
                     choices={[["", "the model's own way"], ...TEMPLATES.map((each) => [each, each] as const)]} />
      )}
      {goal === "write" && (
        <div class="switches">
          {([["train_on_inputs", "Learn prompts and questions, too"],
             ["packing", "Pack short rows together: faster"]] as const).map(([field, label]) => (
            <Switch key={field} label={label} on={at(doc, "data." + field) === true}
                    turn={(on) => set("data." + field, on || undefined)} />
          ))}
        </div>
      )}
    </>
  );
}
