// Calls to the coordinator. Errors keep what, where and what to do.
import type {Problem} from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problems: Partial<Problem>[],
  ) {
    super(problems[0]?.message ?? `the coordinator answered ${status}`);
  }
  get hint(): string {
    return this.problems[0]?.hint ?? "";
  }
}

// Nobody answered: the coordinator is away, or the network.
export const UNREACHABLE = 0;

let signedOut: () => void = () => {};
export function onSignedOut(call: () => void): void {
  signedOut = call;
}

interface Options {
  headers?: Record<string, string>;
  signal?: AbortSignal;
  raw?: Blob;
}

async function send(method: string, path: string, body?: unknown, options: Options = {}) {
  const headers: Record<string, string> = {...options.headers};
  let content: BodyInit | undefined = options.raw;
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    content = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(path, {
      method, headers, body: content, signal: options.signal, credentials: "same-origin",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(UNREACHABLE, [{
      message: "the coordinator does not answer",
      hint: "it may be restarting; this page tries again by itself",
    }]);
  }
  if (answer.ok) return answer;
  if (answer.status === 401) signedOut();
  throw errorOf(answer.status, await answer.text());
}

// What an answer or an event that is an error says.
function errorOf(status: number, body: string): ApiError {
  try {
    const told = JSON.parse(body) as {error?: Partial<Problem>; errors?: Partial<Problem>[]};
    return new ApiError(status, told.errors ?? (told.error ? [told.error] : []));
  } catch {
    return new ApiError(status, []);  // no JSON: the status says it
  }
}

export async function api<T>(
  method: string, path: string, body?: unknown, options?: Options,
): Promise<T> {
  const answer = await send(method, "/api/v1" + path, body, options);
  return (await answer.json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal) =>
  api<T>("GET", path, undefined, {signal});

export async function text(path: string): Promise<string> {
  return (await send("GET", "/api/v1" + path)).text();
}

// An answer that comes in pieces, each given to `take`; resolves with the whole of it.
export async function streamed<Piece, Whole>(
  path: string, body: unknown, signal: AbortSignal, take: (piece: Piece) => void,
): Promise<Whole> {
  const answer = await send("POST", "/api/v1" + path, body, {signal});
  const events = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await events.read();
    if (done) throw new ApiError(UNREACHABLE, [{message: "the answer was cut off", hint: "try again"}]);
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const line = (name: string) =>
        block.split("\n").find((each) => each.startsWith(name + ": "))?.slice(name.length + 2) ?? "";
      if (line("event") === "piece") take(JSON.parse(line("data")) as Piece);
      if (line("event") === "error") throw errorOf(answer.status, line("data"));
      if (line("event") === "done") return JSON.parse(line("data")) as Whole;
    }
  }
}

// A file as a blob; the coordinator tells its digest.
export async function upload(file: Blob): Promise<{digest: string; size_bytes: number}> {
  return api("POST", "/blobs", undefined, {
    raw: file, headers: {"content-type": "application/octet-stream"},
  });
}

export const part = encodeURIComponent;

export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
