// What the pages do better with JavaScript. All of it works without.
"use strict";

let loading, typing;
let here = location.pathname + location.search;

// Fetch a page that has a part. If there is another one, or none, go there to see it.
async function load(url, part) {
  loading?.abort(); // only the last one counts
  loading = new AbortController();
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: loading.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.redirected && page.querySelector(part)) return page;
  } catch (error) {
    if (error.name === "AbortError") return;
  }
  location.assign(url);
}

// Put a part of a page in the place of this one's.
async function swap(url, part, remember) {
  clearTimeout(typing); // or a search for what was typed before would come after this
  const page = await load(url, part);
  if (!page) return;
  const found = page.querySelector(part);
  document.querySelector(part).replaceWith(found);
  document.title = page.title;
  if (remember) history[remember]({}, "", url);
  here = location.pathname + location.search;
  prepare(found);
  if (part === "main") found.focus();
  else say(found.dataset.said);
  if (remember === "pushState") scrollTo(0, 0);
}

// Tell who does not see it what has changed.
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
  // Without an answer, the form says it when it is sent.
  const answer = await fetch(`${input.dataset.check}?${new URLSearchParams({ code })}`).catch(() => {});
  if (!answer?.ok || answer.redirected || input.value !== code) return;
  const { problem } = await answer.json();
  told.textContent = problem || `${code} is free.`;
  told.classList.toggle("wrong", Boolean(problem));
}

async function copy(button) {
  const copying = navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = await copying.then(() => "Copied", () => "Not copied");
  say(button.textContent);
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

// Ask in a dialog what would be asked on a page of its own.
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

// Show what is of use only with JavaScript.
function prepare(part) {
  for (const button of part.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
}

function soon(work) {
  clearTimeout(typing);
  typing = setTimeout(work, 250);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("a, button");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  if (target.dataset.copy) copy(target);
  else if ("swap" in target.dataset && document.querySelector("#results")) swap(target.href, "main", "pushState");
  else if ("dialog" in target.dataset) ask(target);
  else if ("close" in target.dataset && target.closest("dialog")) target.closest("dialog").close();
  else return;
  event.preventDefault();
});

document.addEventListener("submit", (event) => {
  if ("swap" in event.target.dataset) {
    event.preventDefault();
    search(event.target, "pushState");
  } else {
    // Not twice for a double click; after the browser has taken the form's data.
    setTimeout(() => { if (event.submitter) event.submitter.disabled = true; });
  }
});

document.addEventListener("input", (event) => {
  const input = event.target;
  if (input.dataset.check) soon(() => check(input));
  else if ("swap" in (input.form?.dataset ?? {})) soon(() => search(input.form, "replaceState"));
});

// Not for a jump to a place on this page.
addEventListener("popstate", () => {
  if (here !== location.pathname + location.search) swap(location.href, "main");
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form button")) button.disabled = false;
});
prepare(document);
