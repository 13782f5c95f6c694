"use strict";

/** The request that a form describes: its URL and what fetch takes. */
function requestOf(form) {
  const { method, path, file, raw } = form.dataset;
  const given = [...form.elements].filter((field) => field.dataset.in && field.value !== "");
  const query = new URLSearchParams();
  const headers = new Headers();
  let url = path;
  for (const { name, value, dataset } of given) {
    if (dataset.in === "path") url = url.replace(`{${name}}`, encodeURIComponent(value));
    if (dataset.in === "query") query.set(name, value);
    if (dataset.in === "header") headers.set(name, value);
  }
  const key = document.getElementById("key").value;
  if (key) headers.set("Authorization", `Bearer ${key}`);
  let body;
  if (raw === "true") {
    [body] = form.elements[file].files;
    headers.set("Content-Type", body.type || "image/png");
  } else if (file) {
    body = new FormData();
    for (const one of form.elements[file].files) body.append(file, one);
  } else if (form.elements.body) {
    body = form.elements.body.value;
    headers.set("Content-Type", "application/json");
  }
  return [query.size ? `${url}?${query}` : url, { method, headers, body }];
}

async function send(form) {
  const output = form.querySelector("output");
  const told = document.createElement("pre");
  output.replaceChildren("…");
  try {
    const [url, request] = requestOf(form);
    const answer = await fetch(url, request);
    const text = await answer.text();
    const isJson = /\bjson\b/.test(answer.headers.get("Content-Type") ?? "");
    told.textContent = isJson ? JSON.stringify(JSON.parse(text), null, 2) : text;
    output.replaceChildren(`${request.method} ${url}: ${answer.status} ${answer.statusText}`, told);
  } catch (error) {
    told.textContent = error.message;
    output.replaceChildren("no answer", told);
  }
}

for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}
