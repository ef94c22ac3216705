// Numbers, times and sizes as people read them.

export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en-US", {maximumFractionDigits: 0});
}

// 4 significant digits; 1.2e-5 for what is tiny.
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2).replace("e+", "e");
  if (size >= 1000) return count(value);
  return String(Number(value.toPrecision(4)));
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function secondsSince(at: string): number {
  return Math.max(0, (Date.now() - Date.parse(at)) / 1000);
}

export function ago(at: string | null | undefined): string {
  if (!at) return "–";
  const seconds = secondsSince(at);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

export function clock(at: string | null | undefined): string {
  if (!at) return "–";
  return new Date(at).toLocaleTimeString("en-GB");
}

export function moment(at: string | null | undefined): string {
  if (!at) return "–";
  const time = new Date(at);
  const today = new Date().toDateString() === time.toDateString();
  const day = time.toLocaleDateString("en-GB", {day: "numeric", month: "short"});
  return today ? clock(at) : `${day} ${clock(at).slice(0, 5)}`;
}

// Of a time to come: "in 4 min".
export function until(at: string | null | undefined): string {
  if (!at) return "–";
  const seconds = (Date.parse(at) - Date.now()) / 1000;
  return seconds < 5 ? "now" : `in ${duration(seconds)}`;
}

export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.max(0, (100 * part) / whole)) : 0;
}

export function shortDigest(digest: string): string {
  return digest.replace("sha256:", "").slice(0, 12);
}

// "grad_norm" → "grad norm"
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

export function plural(n: number, one: string, many = one + "s"): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
