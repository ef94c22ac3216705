// Who is signed in, how the page looks, tokens and webhooks for others.
import {useState} from "preact/hooks";
import type {Token} from "../types";
import {api, get} from "../api";
import {ago, moment} from "../format";
import {live, start, useLive} from "../live";
import {
  Button, Confirm, Copy, Dialog, Empty, Facts, Failure, Field, Heading, Panel, Radios, tell, useRead,
  useTitle,
} from "../parts";
import {applyTheme, chosenTheme, type Theme} from "../theme";
import {Webhooks} from "./webhooks";

const DAY_MS = 86_400_000;

type Look = NonNullable<Theme> | "system";

function Create({close, made}: {close: () => void; made: (token: Token) => void}) {
  const [scope, setScope] = useState("submitter");
  const [user, setUser] = useState("");
  const [name, setName] = useState("");
  const [days, setDays] = useState("90");
  const [error, setError] = useState<unknown>();
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      made(await api<Token>("POST", "/tokens", {
        scope,
        ...(user ? {user} : {}),
        ...(name ? {name} : {}),
        ...(days ? {lifetime_ms: Number(days) * DAY_MS} : {}),
      }));
    } catch (failed) {
      setError(failed);
    }
  };
  return (
    <Dialog title="New token" close={close}>
      <form onSubmit={submit}>
        <Field label="What it may do">
          <select value={scope} onChange={(event) => setScope(event.currentTarget.value)}>
            <option value="viewer">viewer: read everything</option>
            <option value="submitter">submitter: also submit, and change own jobs</option>
            <option value="admin">admin: everything</option>
          </select>
        </Field>
        <Field label="User">
          <input value={user} placeholder="you" onInput={(event) => setUser(event.currentTarget.value)} />
        </Field>
        <Field label="Name">
          <input value={name} placeholder="laptop" onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <Field label="Ends after">
          <select value={days} onChange={(event) => setDays(event.currentTarget.value)}>
            <option value="7">7 days</option><option value="90">90 days</option>
            <option value="365">a year</option><option value="">never, until it is revoked</option>
          </select>
        </Field>
        <Failure error={error} />
        <div class="actions">
          <Button run={close}>Leave it</Button>
          <button type="submit" class="primary">Make it</button>
        </div>
      </form>
    </Dialog>
  );
}

function Tokens() {
  const [asking, setAsking] = useState(false);
  const [made, setMade] = useState<Token | null>(null);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const read = useRead((stop) => get<{data: Token[]}>("/tokens", stop), []);
  return (
    <Panel title="Tokens" flush aside={<Button icon="plus" run={() => setAsking(true)}>New token</Button>}>
      <Failure error={read.error} again={read.again} />
      {read.value?.data.length === 0 ? (
        <Empty title="No tokens but the data directory's own">Make one for each person or program.</Empty>
      ) : (
        <div class="scroll">
          <table class="rows">
            <thead><tr><th scope="col">Token</th><th scope="col">Scope</th><th scope="col">User</th>
              <th scope="col">Made</th><th scope="col">Ends</th><th scope="col">Last used</th>
              <th scope="col"><span class="faint">Revoke</span></th></tr></thead>
            <tbody>
              {read.value?.data.map((token) => (
                <tr key={token.id}>
                  <td>{token.name || <span class="muted">no name</span>} <code class="faint">{token.id}</code></td>
                  <td>{token.scope}</td><td>{token.user}</td><td>{ago(token.created_at)}</td>
                  <td>{token.expired ? <span class="bad">expired</span>
                    : token.expires_at ? moment(token.expires_at) : "never"}</td>
                  <td>{token.last_used_at ? ago(token.last_used_at) : "never"}</td>
                  <td><Button kind="danger" run={() => setRevoking(token)}>Revoke</Button></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {asking && <Create close={() => setAsking(false)} made={(token) => {
        setAsking(false);
        setMade(token);
        read.again();
      }} />}
      {made && (
        <Dialog title="Your new token" close={() => setMade(null)}>
          <p>It is shown this once. Hand it on through a file or a password manager.</p>
          <pre class="secret">{made.token}</pre>
          <div class="actions">
            <Copy text={made.token ?? ""} what="the token" />
            <Button kind="primary" run={() => setMade(null)}>I have it</Button>
          </div>
        </Dialog>
      )}
      {revoking && (
        <Confirm title={`Revoke ${revoking.name || revoking.id}?`} yes="Revoke it" danger
                 close={() => setRevoking(null)} run={async () => {
          await api("POST", `/tokens/${revoking.id}/revoke`, {});
          tell(`${revoking.name || revoking.id} is revoked`);
          read.again();
        }}>
          <p>Nobody is let in with it any more, at once; sessions that came of it end too.</p>
        </Confirm>
      )}
    </Panel>
  );
}

export function Settings() {
  useTitle("Settings");
  const {session, cluster} = useLive();
  const [theme, setTheme] = useState<Look>(chosenTheme() ?? "system");
  const choose = (to: Look) => {
    setTheme(to);
    applyTheme(to);
  };
  const leave = async () => {
    await api("DELETE", "/ui/session");
    live.session = null;
    start();
  };
  return (
    <>
      <Heading title="Settings" />
      <div class="columns">
        <div>
          {session?.scope === "admin" ? <><Tokens /><Webhooks /></> : (
            <Panel title="Tokens and webhooks"><Empty title="Admins make them" /></Panel>
          )}
        </div>
        <div>
          <Panel title="You" aside={<Button kind="quiet" run={leave}>Sign out</Button>}>
            <Facts rows={[["User", session?.user ?? "–"], ["Scope", session?.scope ?? "–"]]} />
          </Panel>
          <Panel title="Appearance">
            <Radios legend="Colours" name="theme" choices={["system", "light", "dark"] as const}
                    chosen={theme} choose={choose} />
          </Panel>
          <Panel title="Coordinator">
            <Facts rows={[
              ["Version", <>{cluster?.version} <code class="faint">{cluster?.revision}</code></>],
              ["Policy", cluster?.policy ?? "–"],
              ["Starts", cluster?.generation ?? "–"],
              ["Data", <code class="path">{cluster?.data_dir}</code>],
              ["API", <a href="/api/v1/openapi.json" target="_blank">OpenAPI document</a>],
            ]} />
          </Panel>
        </div>
      </div>
    </>
  );
}
