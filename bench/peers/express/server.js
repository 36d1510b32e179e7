// Redirects with Express and mysql2: a lookup and a click, each one statement in autocommit mode.
const cluster = require("node:cluster");
const { readFileSync } = require("node:fs");
const express = require("express");
const mysql = require("mysql2/promise");

const WORKERS = 2;

function serve() {
  const url = new URL(readFileSync("/run/secrets/database_url", "utf8").trim());
  const pool = mysql.createPool({
    host: url.hostname,
    user: url.username,
    password: url.password,
    database: url.pathname.slice(1),
    timezone: "Z",
    ssl: { ca: readFileSync("/run/secrets/ca.pem"), verifyIdentity: true },
  });
  const app = express();

  app.get("/:code", async (request, response) => {
    const key = request.params.code.toLowerCase().replaceAll("-", "");
    const [[link]] = await pool.execute(
      "SELECT id, url, expires_at FROM links WHERE lookup_key = ?",
      [key],
    );
    const now = new Date();
    if (!link) return response.sendStatus(404);
    if (link.expires_at && link.expires_at <= now) return response.sendStatus(410);
    now.setUTCMinutes(0, 0, 0);
    await pool.execute(
      "INSERT INTO link_clicks (link_id, hour, clicks) VALUES (?, ?, 1)" +
        " ON DUPLICATE KEY UPDATE clicks = clicks + 1",
      [link.id, now],
    );
    response.redirect(302, link.url);
  });

  app.listen(8000);
}

if (cluster.isPrimary) {
  for (let n = 0; n < WORKERS; n++) cluster.fork();
} else {
  serve();
}
