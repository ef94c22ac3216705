// How the cluster is shared: queues with their weights, own slots and limits, and the policy. Admins
// change them.
import {useState} from "preact/hooks";
import type {Queue} from "../types";
import {api, part} from "../api";
import {plural} from "../format";
import {Button, Dialog, Failure, Field, Panel, tell} from "../parts";

export interface Queues {
  data: Queue[];
  policy: string;
}

const POLICIES: Record<string, string> = {
  fifo: "by priority, then in the order they came",
  fair: "by weights and by what each has used",
  srtf: "the shortest remaining one first",
};
const NAME = "[A-Za-z0-9][A-Za-z0-9._\\-]{0,62}";

type Numbers = "weight" | "slots" | "slots_max" | "user_slots" | "gpus" | "gpus_max" | "user_gpus";
const FIELDS: [name: Numbers, label: string, hint: string][] = [
  ["weight", "Weight", "its share beside others': 2 gets twice what 1 gets"],
  ["slots", "Slots of its own", "lent while it does not need them, taken back when it does"],
  ["slots_max", "Slots at most", "empty: no limit"],
  ["user_slots", "Slots a user at most", "empty: no limit"],
  ["gpus", "GPUs of its own", "lent and taken back as slots are"],
  ["gpus_max", "GPUs at most", "empty: no limit"],
  ["user_gpus", "GPUs a user at most", "empty: no limit"],
];

function Edit({queue, all, close, done}: {
  queue: Queue | null; all: Queue[]; close: () => void; done: () => void;
}) {
  const written = (name: Numbers) => {
    const value = queue?.[name] ?? (name === "weight" ? 1 : null);
    return value === null || value === 0 ? "" : String(value);
  };
  const [name, setName] = useState(queue?.name ?? "");
  const [values, setValues] = useState(() =>
    Object.fromEntries(FIELDS.map(([field]) => [field, written(field)])) as Record<Numbers, string>);
  const [parent, setParent] = useState(queue?.parent ?? "");
  const [error, setError] = useState<unknown>();
  const submit = async (event: Event) => {
    event.preventDefault();
    // No slots of its own, and no limit, are 0.
    const numbers = FIELDS.map(([field]) => [field, Number(values[field] || (field === "weight" ? 1 : 0))]);
    try {
      await api("POST", `/queues/${part(name)}`, {...Object.fromEntries(numbers), parent});
      tell(`Queue ${name} is ${queue ? "changed" : "made"}`);
      done();
    } catch (failed) {
      setError(failed);
    }
  };
  const others = all.filter((each) => each.name !== name && each.name !== "default");
  return (
    <Dialog title={queue ? `Queue ${queue.name}` : "New queue"} close={close}>
      <form onSubmit={submit}>
        {!queue && (
          <Field label="Name" hint="jobs ask for it by schedule.queue">
            <input value={name} required pattern={NAME} onInput={(event) => setName(event.currentTarget.value.trim())} />
          </Field>
        )}
        <div class="pair">
          {FIELDS.map(([field, label, hint]) => (
            <Field key={field} label={label} hint={hint}>
              <input type="number" min={field === "weight" ? "0.01" : "0"} step={field === "weight" ? "any" : "1"}
                     required={field === "weight"} value={values[field]}
                     onInput={(event) => setValues({...values, [field]: event.currentTarget.value})} />
            </Field>
          ))}
        </div>
        {(others.length > 0 || parent !== "") && (
          <Field label="Part of" hint="its limits and shares count for the whole tree">
            <select value={parent} onChange={(event) => setParent(event.currentTarget.value)}>
              <option value="">no other queue</option>
              {[...new Set([...others.map((each) => each.name), parent])].filter(Boolean).map((each) =>
                <option key={each} value={each}>{each}</option>)}
            </select>
          </Field>
        )}
        <Failure error={error} />
        <div class="actions">
          <Button run={close}>Leave it</Button>
          <button type="submit" class="primary">{queue ? "Change it" : "Make it"}</button>
        </div>
      </form>
    </Dialog>
  );
}

function Policy({queues, admin, done}: {queues: Queues; admin: boolean; done: () => void}) {
  if (!admin) return <span class="muted">policy {queues.policy}: {POLICIES[queues.policy]}</span>;
  const choose = async (policy: string) => {
    try {
      await api("POST", "/policy", {policy});
      tell(`The policy is ${policy} now`, POLICIES[policy]);
    } finally {
      done();
    }
  };
  return (
    <span class="tools">
      <label>Who goes first{" "}
        <select value={queues.policy}
                onChange={(event) => void choose(event.currentTarget.value).catch((e) => tell(String(e), "", true))}>
          {[...new Set([...Object.keys(POLICIES), queues.policy])].map((each) =>
            <option key={each} value={each}>{each}: {POLICIES[each]}</option>)}
        </select>
      </label>
    </span>
  );
}

export function Sharing({queues, admin, again}: {queues: Queues; admin: boolean; again: () => void}) {
  const [edited, setEdited] = useState<Queue | "new" | null>(null);
  const limit = (value: number | null) => value ? value : <span class="muted">–</span>;
  // Where nobody has to do with GPUs nothing is said of them.
  const gpus = queues.data.some((each) => each.gpus_used || each.gpus || each.gpus_max || each.user_gpus);
  return (
    <Panel title="How slots are shared" flush aside={<Policy queues={queues} admin={admin} done={again} />}>
      <div class="scroll" role="region" aria-label="queues" tabIndex={0}>
        <table class="rows">
          <thead><tr>
            <th scope="col">Queue</th><th scope="col" class="num">Waiting</th><th scope="col" class="num">Running</th>
            <th scope="col" class="num">Slots used</th><th scope="col" class="num">Weight</th>
            <th scope="col" class="num">Own</th><th scope="col" class="num">At most</th>
            <th scope="col" class="num">A user</th>
            {gpus && <><th scope="col" class="num">GPUs used</th><th scope="col" class="num">Own GPUs</th>
              <th scope="col" class="num">At most</th><th scope="col" class="num">A user</th></>}
            <th scope="col">Part of</th>
            {admin && <th scope="col"><span class="faint">Change</span></th>}
          </tr></thead>
          <tbody>
            {queues.data.map((queue) => (
              <tr key={queue.name}>
                <th scope="row">{queue.name}</th>
                <td class="num">{queue.queued}</td><td class="num">{queue.running}</td>
                <td class="num" title={plural(queue.slots_used, "slot")}>{queue.slots_used}</td>
                <td class="num">{queue.weight}</td><td class="num">{limit(queue.slots)}</td>
                <td class="num">{limit(queue.slots_max)}</td><td class="num">{limit(queue.user_slots)}</td>
                {gpus && <><td class="num">{queue.gpus_used}</td><td class="num">{limit(queue.gpus)}</td>
                  <td class="num">{limit(queue.gpus_max)}</td><td class="num">{limit(queue.user_gpus)}</td></>}
                <td>{queue.parent ?? <span class="muted">–</span>}</td>
                {admin && <td><Button kind="quiet" title={`change queue ${queue.name}`}
                                      run={() => setEdited(queue)}>Change</Button></td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {admin && <div class="below"><Button icon="plus" run={() => setEdited("new")}>New queue</Button></div>}
      {edited && (
        <Edit queue={edited === "new" ? null : edited} all={queues.data} close={() => setEdited(null)}
              done={() => { setEdited(null); again(); }} />
      )}
    </Panel>
  );
}
