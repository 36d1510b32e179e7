// Redirects with net/http and go-sql-driver: many lookups and clicks in one commit, as in
// app/links/clicks.py. While a batch commits, the next one forms.
//
// Outside of modules, Go uses its older rules for patterns, which have no wildcards in paths.
//
//go:debug httpmuxgo121=0
package main

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"log"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	workers    = 2 // as many batchers as the other services have processes
	batchLimit = 1000
)

type target struct {
	id      int64
	url     string
	expired bool
}

type answer struct {
	target *target
	err    error
}

type waiting struct {
	key  string
	done chan answer
}

func open() *sql.DB {
	authority, err := os.ReadFile("/run/secrets/ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	secret, err := os.ReadFile("/run/secrets/database_url")
	if err != nil {
		log.Fatal(err)
	}
	address, err := url.Parse(strings.TrimSpace(string(secret)))
	if err != nil {
		log.Fatal(err)
	}
	config := mysql.NewConfig()
	config.User = address.User.Username()
	config.Passwd, _ = address.User.Password()
	config.Net, config.Addr = "tcp", address.Hostname()+":3306"
	config.DBName = strings.TrimPrefix(address.Path, "/")
	config.ParseTime = true
	config.InterpolateParams = true // one round trip for each statement, not three
	config.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: address.Hostname()}
	config.TLS.RootCAs.AppendCertsFromPEM(authority)
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetConnMaxLifetime(3 * time.Minute)
	db.SetMaxOpenConns(workers)
	db.SetMaxIdleConns(workers)
	return db
}

func run(db *sql.DB, queue chan waiting) {
	for first := range queue {
		batch := []waiting{first}
	gather:
		for len(batch) < batchLimit {
			select {
			case next := <-queue:
				batch = append(batch, next)
			default:
				break gather
			}
		}
		targets, err := commit(db, batch)
		for _, w := range batch {
			w.done <- answer{targets[w.key], err}
		}
		if len(batch) > 1 {
			time.Sleep(time.Millisecond)
		}
	}
}

func commit(db *sql.DB, batch []waiting) (map[string]*target, error) {
	now := time.Now().UTC()
	clicks := map[string]int{}
	for _, w := range batch {
		clicks[w.key]++
	}
	keys := make([]any, 0, len(clicks))
	for key := range clicks {
		keys = append(keys, key)
	}
	rows, err := db.Query("SELECT lookup_key, id, url, expires_at FROM links WHERE lookup_key IN (?"+
		strings.Repeat(", ?", len(keys)-1)+")", keys...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	targets, ids, counts := map[string]*target{}, []int64{}, map[int64]int{}
	for rows.Next() {
		var (
			key     string
			expires sql.NullTime
			found   target
		)
		if err := rows.Scan(&key, &found.id, &found.url, &expires); err != nil {
			return nil, err
		}
		found.expired = expires.Valid && !expires.Time.After(now)
		targets[key] = &found
		if !found.expired {
			ids = append(ids, found.id)
			counts[found.id] = clicks[key]
		}
	}
	if err := rows.Err(); err != nil || len(ids) == 0 {
		return targets, err
	}
	slices.Sort(ids) // so that two batches can't deadlock
	hour, values := now.Truncate(time.Hour), make([]any, 0, 3*len(ids))
	for _, id := range ids {
		values = append(values, id, hour, counts[id])
	}
	_, err = db.Exec("INSERT INTO link_clicks (link_id, hour, clicks) VALUES (?, ?, ?)"+
		strings.Repeat(", (?, ?, ?)", len(ids)-1)+
		" AS new ON DUPLICATE KEY UPDATE clicks = link_clicks.clicks + new.clicks", values...)
	return targets, err
}

func main() {
	db, queue := open(), make(chan waiting, batchLimit)
	for range workers {
		go run(db, queue)
	}
	http.HandleFunc("GET /{code}", func(w http.ResponseWriter, r *http.Request) {
		key := strings.ReplaceAll(strings.ToLower(r.PathValue("code")), "-", "")
		me := waiting{key, make(chan answer, 1)}
		queue <- me
		switch got := <-me.done; {
		case got.err != nil:
			log.Print(got.err)
			http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		case got.target == nil:
			http.Error(w, "Not Found", http.StatusNotFound)
		case got.target.expired:
			http.Error(w, "Gone", http.StatusGone)
		default:
			http.Redirect(w, r, got.target.url, http.StatusFound)
		}
	})
	log.Fatal(http.ListenAndServe(":8000", nil))
}
