// Improves the pages. Everything also works without JavaScript.
"use strict";

let loading, typing;
let { timeZone } = Intl.DateTimeFormat().resolvedOptions();
let here = location.pathname + location.search;

// Fetch a page and return it if it contains `part`, a selector. Otherwise let the browser open it,
// unless the user has not asked for it.
async function load(url, part, asked = true) {
  loading?.abort(); // only the latest request matters
  loading = new AbortController();
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: loading.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.redirected && page.querySelector(part)) return page;
  } catch (error) {
    if (error.name === "AbortError") return;
  }
  if (asked) location.assign(url);
}

// Replace a part of this page with the same part of another page.
async function swap(url, part, remember) {
  clearTimeout(typing); // a pending search for older input would overwrite this
  const page = await load(url, part, Boolean(remember) || part === "main");
  if (!page) return;
  const found = page.querySelector(part), old = document.querySelector(part);
  const focused = old.contains(document.activeElement);
  old.replaceWith(found);
  document.title = page.title;
  if (remember) history[remember]({}, "", url);
  here = location.pathname + location.search;
  prepare(found);
  if (part === "main") found.focus();
  else if (remember) say(found.dataset.said);
  if (focused) found.querySelector("[aria-current]")?.focus();
  if (remember === "pushState") scrollTo(0, 0);
}

// Announce a change to screen readers.
function say(text) {
  document.querySelector("[data-heard]").textContent = text;
}

function search(form, remember) {
  const given = [...new FormData(form)].filter(([, value]) => value);
  swap(`${form.action}?${new URLSearchParams(given)}`, "#results", remember);
}

async function check(input) {
  const told = document.querySelector("[data-checked]");
  const code = input.value;
  told.textContent = "";
  if (!code) return;
  // Ignore a failed request: the server checks the code again when the form is sent.
  const answer = await fetch(`${input.dataset.check}?${new URLSearchParams({ code })}`).catch(() => {});
  if (!answer?.ok || answer.redirected || input.value !== code) return;
  const { problem } = await answer.json();
  told.textContent = problem || `${code} is free.`;
  told.classList.toggle("wrong", Boolean(problem));
}

async function copy(button) {
  const text = button.dataset.copy || button.parentNode.querySelector("code").textContent;
  const copying = navigator.clipboard.writeText(text);
  button.textContent = await copying.then(() => "Copied", () => "Not copied");
  say(button.textContent);
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

// Show the form of another page in a dialog.
async function ask(link) {
  const page = await load(link.href, "main form");
  if (!page) return;
  const dialog = document.createElement("dialog");
  const heading = page.querySelector("main h1");
  heading.id = "asked";
  dialog.setAttribute("aria-labelledby", "asked");
  dialog.append(...page.querySelector("main section").childNodes);
  dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
  document.body.append(dialog);
  dialog.showModal();
}

// Send a form and show a part of the answer. The form keeps what was entered, and its files.
async function send(form, button) {
  const options = { method: "POST", headers: { Accept: "text/html" }, body: new FormData(form, button) };
  button.disabled = true;
  const answer = await fetch(form.action, options).catch(() => {});
  button.disabled = false;
  if (!answer || answer.redirected) return location.reload();
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const part = page.querySelector(button.dataset.part) ? button.dataset.part : "main";
  document.querySelector(part).replaceWith(page.querySelector(part));
  say(document.querySelector(part).dataset.said ?? document.title);
}

// Show the buttons that need JavaScript, and times in the reader's time zone.
function prepare(part) {
  for (const button of part.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  part.querySelector("[data-copy][autofocus]")?.focus();
  const parts = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" };
  for (const time of part.querySelectorAll("time[datetime*=T]")) {
    time.textContent = new Date(time.dateTime).toLocaleString("en-GB", { ...parts, timeZoneName: "short" });
  }
  const chart = part.querySelector("[data-zone=UTC]");
  if (chart && timeZone && timeZone !== "UTC") {
    const url = new URL(location.href);
    url.searchParams.set("zone", timeZone);
    timeZone = ""; // ask once: the service may not know it
    swap(url.href, `#${chart.id}`);
  }
}

function soon(work) {
  clearTimeout(typing);
  typing = setTimeout(work, 250);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("a, button");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  if ("copy" in target.dataset) copy(target);
  else if ("swap" in target.dataset && document.querySelector("#results")) swap(target.href, "main", "pushState");
  else if (target.href && target.dataset.part) swap(target.href, target.dataset.part, "replaceState");
  else if ("dialog" in target.dataset) ask(target);
  else if ("close" in target.dataset && target.closest("dialog")) target.closest("dialog").close();
  else return;
  event.preventDefault();
});

document.addEventListener("submit", (event) => {
  if ("swap" in event.target.dataset) {
    event.preventDefault();
    search(event.target, "pushState");
  } else if (event.submitter?.dataset.part) {
    event.preventDefault();
    send(event.target, event.submitter);
  } else {
    // Prevent a second submission by a double click. Wait until the browser has read the form.
    setTimeout(() => { if (event.submitter) event.submitter.disabled = true; });
  }
});

document.addEventListener("input", (event) => {
  const input = event.target;
  if (input.dataset.check) soon(() => check(input));
  else if ("swap" in (input.form?.dataset ?? {})) soon(() => search(input.form, "replaceState"));
});

// Back and forward, but not jumps to a fragment of this page.
addEventListener("popstate", () => {
  if (here !== location.pathname + location.search) swap(location.href, "main");
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form button")) button.disabled = false;
});
prepare(document);
