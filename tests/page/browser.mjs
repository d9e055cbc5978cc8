// Drives a Chromium for tests and screenshots: a line of JSON in, a line of JSON out. The browser is spoken to over a
// pipe (--remote-debugging-pipe), so that no port is open. Usage: node browser.mjs CHROMIUM PROFILE_FOLDER
//
//   {"open": URL, "width": 1280, "height": 900, "dark": false, "script": true, "reduced": false}
//   {"eval": "expression"}          its value, promises awaited (also in a page whose own scripts are off)
//   {"until": "expression", "within": 5000}
//   {"key": "Tab"} {"type": "text"}
//   {"shot": FILE, "whole": false}
//   {"axe": FILE}                   what axe-core finds, its source being in FILE
//   {"said": true}                  what console and browser have complained of since the last time
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [chromium, profile] = process.argv.slice(2);
const browser = spawn(
  chromium,
  [
    "--headless=new", "--remote-debugging-pipe", `--user-data-dir=${profile}`, "--no-sandbox", "--disable-gpu",
    "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check", "--disable-extensions", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-crash-reporter",
    "--hide-scrollbars", "--mute-audio", "--force-color-profile=srgb", "about:blank",
  ],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
);
browser.on("error", (error) => fail(`${chromium} cannot be started: ${error.message}`));
browser.on("exit", (code) => fail(`${chromium} has ended with ${code}`));
const [, , , commands, answers] = browser.stdio;

const fail = (why) => {
  if (process.exitCode === undefined) process.stdout.write(JSON.stringify({ error: why }) + "\n", () => process.exit(1));
  process.exitCode = 1;
};

let count = 0;
let rest = Buffer.alloc(0);
const waiting = new Map();
const listeners = new Set();
answers.on("data", (data) => {
  rest = Buffer.concat([rest, data]);
  for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
    const message = JSON.parse(rest.subarray(0, end).toString());
    if (message.id) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      message.error ? reject(new Error(message.error.message)) : resolve(message.result);
    } else {
      for (const listener of [...listeners]) listener(message);
    }
  }
});
const send = (method, params = {}, sessionId = undefined) =>
  new Promise((resolve, reject) => {
    waiting.set(++count, { resolve, reject });
    commands.write(JSON.stringify({ id: count, method, params, sessionId }) + "\0");
  });

let session;
let said = [];
const tell = (method, params) => send(method, params, session);
const event = (name) =>
  new Promise((resolve) => {
    const listener = (message) => {
      if (message.method !== name || message.sessionId !== session) return;
      listeners.delete(listener);
      resolve(message.params);
    };
    listeners.add(listener);
  });

// Whatever a person would see in red in the developer tools.
listeners.add(({ method, params }) => {
  if (method === "Log.entryAdded" && params.entry.level !== "verbose") said.push(`${params.entry.source}: ${params.entry.text} ${params.entry.url ?? ""}`);
  if (method === "Runtime.consoleAPICalled") said.push(`console.${params.type}: ${params.args.map((arg) => arg.value ?? arg.description).join(" ")}`);
  if (method === "Runtime.exceptionThrown") said.push(`exception: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`);
  if (method === "Audits.issueAdded") said.push(`issue: ${JSON.stringify(params.issue)}`);
});

const open = async ({ open: url, width = 1280, height = 900, dark = false, script = true, reduced = false, phone = false }) => {
  if (session) await send("Target.closeTarget", { targetId: target });
  said = [];
  ({ targetId: target } = await send("Target.createTarget", { url: "about:blank" }));
  ({ sessionId: session } = await send("Target.attachToTarget", { targetId: target, flatten: true }));
  for (const domain of ["Page", "Runtime", "Log", "Network", "Audits"]) await tell(`${domain}.enable`);
  await tell("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: phone ? 2 : 1, mobile: phone });
  const features = [
    { name: "prefers-color-scheme", value: dark ? "dark" : "light" },
    { name: "prefers-reduced-motion", value: reduced ? "reduce" : "no-preference" },
  ];
  await tell("Emulation.setEmulatedMedia", { features });
  await tell("Emulation.setScriptExecutionDisabled", { value: !script });
  const loaded = event("Page.loadEventFired");
  const { errorText } = await tell("Page.navigate", { url });
  if (errorText) throw new Error(`${url}: ${errorText}`);
  await loaded;
  return null;
};
let target;

const evaluate = async (expression) => {
  const { result, exceptionDetails } = await tell("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value ?? null;
};

const until = async ({ until: expression, within = 5000 }) => {
  const end = Date.now() + within;
  for (;;) {
    const value = await evaluate(expression);
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${within} ms: ${expression}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

const KEYS = { Tab: 9, Enter: 13 };
const key = async ({ key, shift = false }) => {
  const press = { key, code: key, windowsVirtualKeyCode: KEYS[key], modifiers: shift ? 8 : 0, ...(key === "Enter" ? { text: "\r" } : {}) };
  await tell("Input.dispatchKeyEvent", { type: "keyDown", ...press });
  await tell("Input.dispatchKeyEvent", { type: "keyUp", ...press });
  return null;
};

const shot = async ({ shot: file, whole = false }) => {
  const { data } = await tell("Page.captureScreenshot", { format: "png", captureBeyondViewport: whole });
  writeFileSync(file, Buffer.from(data, "base64"));
  return null;
};

const axe = async ({ axe: file }) => {
  await evaluate(readFileSync(file, "utf8") + ";null");
  return evaluate(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.map(({ id, impact, help, nodes }) =>
    ({ id, impact, help, nodes: nodes.slice(0, 5).map(({ html, failureSummary }) => html.slice(0, 300) + " | " + failureSummary) })))`);
};

const run = async (order) => {
  if ("open" in order) return open(order);
  if ("eval" in order) return evaluate(order.eval);
  if ("until" in order) return until(order);
  if ("key" in order) return key(order);
  if ("type" in order) return tell("Input.insertText", { text: order.type });
  if ("shot" in order) return shot(order);
  if ("axe" in order) return axe(order);
  if ("said" in order) {
    await new Promise((resolve) => setTimeout(resolve, 100)); // reports come late
    return said.splice(0);
  }
  throw new Error(`no such order: ${JSON.stringify(order)}`);
};

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line)).then(
    (value) => ({ value }),
    (error) => ({ error: error.message }),
  );
  process.stdout.write(JSON.stringify(answer) + "\n");
}
process.exitCode = 0;
await send("Browser.close").catch(() => null);
