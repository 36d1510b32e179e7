// Redirects with net/http and go-sql-driver: a lookup and a click in one transaction.
//
// Outside of modules, Go uses its older rules for patterns, which have no wildcards in paths.
//
//go:debug httpmuxgo121=0
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

var (
	errNotFound = errors.New("not found")
	errGone     = errors.New("gone")
)

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
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32)
	return db
}

func follow(ctx context.Context, db *sql.DB, code string) (string, error) {
	key := strings.ReplaceAll(strings.ToLower(code), "-", "")
	now := time.Now().UTC()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback()
	var (
		id      int64
		target  string
		expires sql.NullTime
	)
	row := tx.QueryRowContext(ctx, "SELECT id, url, expires_at FROM links WHERE lookup_key = ?", key)
	err = row.Scan(&id, &target, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errNotFound
	}
	if err != nil {
		return "", err
	}
	if expires.Valid && !expires.Time.After(now) {
		return "", errGone
	}
	_, err = tx.ExecContext(ctx,
		"INSERT INTO link_clicks (link_id, hour, clicks) VALUES (?, ?, 1)"+
			" ON DUPLICATE KEY UPDATE clicks = clicks + 1", id, now.Truncate(time.Hour))
	if err != nil {
		return "", err
	}
	return target, tx.Commit()
}

func main() {
	db := open()
	http.HandleFunc("GET /{code}", func(w http.ResponseWriter, r *http.Request) {
		target, err := follow(r.Context(), db, r.PathValue("code"))
		switch {
		case errors.Is(err, errNotFound):
			http.Error(w, "Not Found", http.StatusNotFound)
		case errors.Is(err, errGone):
			http.Error(w, "Gone", http.StatusGone)
		case err != nil:
			log.Print(err)
			http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		default:
			http.Redirect(w, r, target, http.StatusFound)
		}
	})
	log.Fatal(http.ListenAndServe(":8000", nil))
}
