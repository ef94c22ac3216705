// Webhooks of the cluster: who is told when jobs come into a state. For admins.
import {useState} from "preact/hooks";
import {FINISHED, type State, type Webhook, type WebhookTry} from "../types";
import {api, get, part} from "../api";
import {ago} from "../format";
import {
  Button, Confirm, Copy, Dialog, Empty, Failure, Field, Panel, tell, useRead,
} from "../parts";

const OTHERS: State[] = ["running", "queued", "paused", "recovering", "preempting", "resizing"];

function Create({close, made}: {close: () => void; made: (webhook: Webhook) => void}) {
  const [url, setUrl] = useState("");
  const [name, setName] = useState("");
  const [on, setOn] = useState(FINISHED);
  const [error, setError] = useState<unknown>();
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      made(await api<Webhook>("POST", "/webhooks", {
        url: url.trim(), on: [...on], ...(name ? {name} : {}),
      }));
    } catch (failed) {
      setError(failed);
    }
  };
  const turn = (state: State) => {
    const next = new Set(on);
    if (!next.delete(state)) next.add(state);
    setOn(next);
  };
  return (
    <Dialog title="New webhook" close={close}>
      <form onSubmit={submit}>
        <Field label="Address">
          <input value={url} type="url" required placeholder="https://hooks.slack.com/services/…"
                 onInput={(event) => setUrl(event.currentTarget.value)} />
        </Field>
        <Field label="Name">
          <input value={name} placeholder="team channel"
                 onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <fieldset class="choice">
          <legend>Tell it when a job is</legend>
          {[...FINISHED, ...OTHERS].map((state) => (
            <label key={state}>
              <input type="checkbox" checked={on.has(state)} onChange={() => turn(state)} />
              <span>{state}</span>
            </label>
          ))}
        </fieldset>
        <Failure error={error} />
        <div class="actions">
          <Button run={close}>Leave it</Button>
          <button type="submit" class="primary" disabled={on.size === 0}>Make it</button>
        </div>
      </form>
    </Dialog>
  );
}

function Last({webhook}: {webhook: Webhook}) {
  if (!webhook.last) return <span class="muted">none yet</span>;
  if (!webhook.last.error) return <span>taken {ago(webhook.last.at)}</span>;
  return <span class="bad">{webhook.last.error}, {ago(webhook.last.at)}</span>;
}

function Secret({webhook, close}: {webhook: Webhook; close: () => void}) {
  return (
    <Dialog title="What its messages are signed with" close={close}>
      <p>The receiver checks the <code>webhook-signature</code> header with it, by any library of Standard Webhooks.
        Slack needs none.</p>
      <pre class="secret">{webhook.secret}</pre>
      <div class="actions">
        <Copy text={webhook.secret} what="the secret" />
        <Button kind="primary" run={close}>I have it</Button>
      </div>
    </Dialog>
  );
}

export function Webhooks() {
  const [asking, setAsking] = useState(false);
  const [shown, setShown] = useState<Webhook | null>(null);
  const [deleting, setDeleting] = useState<Webhook | null>(null);
  const read = useRead((stop) => get<{data: Webhook[]}>("/webhooks", stop), []);
  const test = async (webhook: Webhook) => {
    const tried = await api<WebhookTry>("POST", `/webhooks/${part(webhook.id)}/test`, {});
    tell(tried.error ?? `It answered ${tried.status} after ${tried.took_ms} ms`, "",
         tried.error !== null);
  };
  const called = (webhook: Webhook) => webhook.name || webhook.id;
  return (
    <Panel title="Webhooks" flush
           aside={<Button icon="plus" run={() => setAsking(true)}>New webhook</Button>}>
      <Failure error={read.error} again={read.again} />
      {read.value?.data.length === 0 ? (
        <Empty title="Nobody is told of jobs yet">
          A webhook posts a message to Slack, or to a program of yours, whenever a job ends.
        </Empty>
      ) : (
        <div class="scroll">
          <table class="rows">
            <thead><tr><th scope="col">Webhook</th><th scope="col">Told of</th>
              <th scope="col">Waiting</th><th scope="col">Last</th>
              <th scope="col"><span class="faint">Actions</span></th></tr></thead>
            <tbody>
              {read.value?.data.map((webhook) => (
                <tr key={webhook.id}>
                  <td>{called(webhook)} <code class="faint path">{webhook.url}</code></td>
                  <td>{webhook.on.join(", ")}</td>
                  <td>{webhook.waiting}</td>
                  <td><Last webhook={webhook} /></td>
                  <td>
                    <Button run={() => test(webhook)}>Test</Button>{" "}
                    <Button kind="quiet" run={() => setShown(webhook)}>Secret</Button>{" "}
                    <Button kind="danger" run={() => setDeleting(webhook)}>Delete</Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {asking && <Create close={() => setAsking(false)} made={(webhook) => {
        setAsking(false);
        setShown(webhook);
        read.again();
      }} />}
      {shown && <Secret webhook={shown} close={() => setShown(null)} />}
      {deleting && (
        <Confirm title={`Delete ${called(deleting)}?`} yes="Delete it" danger
                 close={() => setDeleting(null)} run={async () => {
          await api("DELETE", `/webhooks/${part(deleting.id)}`);
          tell(`${called(deleting)} is deleted`);
          read.again();
        }}>
          <p>It is told nothing more; {deleting.waiting} waiting messages go too.</p>
        </Confirm>
      )}
    </Panel>
  );
}
