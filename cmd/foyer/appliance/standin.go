package appliance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/dial"
)

// standIn answers on the public ports in the place of a server that does not run, so
// that a peer can find out whether visitors would get in. It answers nonces that
// expect made known, and nothing else, until stop is called. It returns an error when
// the ports are not to be had.
func standIn(s *config.Settings) (expect func(context.Context, string) error, stop func(), err error) {
	certificate, err := passing()
	if err != nil {
		return nil, nil, err
	}
	ls, err := bind(s)
	if err != nil {
		return nil, nil, err
	}
	room := dial.New(dial.Config{})
	var servers []*http.Server
	var wg sync.WaitGroup
	for _, l := range ls {
		scheme := map[string]string{host.HTTP: "http", host.HTTPS: "https"}[l.Name]
		srv := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !room.Proves(w, r, scheme) {
					http.NotFound(w, r)
				}
			}),
			ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10,
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}, ErrorLog: log.New(io.Discard, "", 0),
		}
		servers = append(servers, srv)
		wg.Go(func() {
			if scheme == "https" {
				_ = srv.ServeTLS(l, "", "") // it ends by Close; before, the peer says that nobody answers
				return
			}
			_ = srv.Serve(l)
		})
	}
	expect = func(_ context.Context, nonce string) error {
		if !room.Expect(nonce) {
			return errors.New("that is no nonce, or one too many")
		}
		return nil
	}
	return expect, func() {
		for _, srv := range servers {
			_ = srv.Close() // nobody is waited for
		}
		wg.Wait()
	}, nil
}

// passing is a certificate for nobody, which nobody is asked to trust.
func passing() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
