package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// docs/proxy.md shows what the command prints.
func TestProxySnippetsAreAsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range proxyKinds {
		var out, said bytes.Buffer
		a := newApp(strings.NewReader(""), &out, &said, []string{"FOYER_PROXY_LISTEN=127.0.0.1:8888", "FOYER_PROXY_TRUSTED=127.0.0.1", "FOYER_ADDRESSES=cloud.example"})
		if code := a.run(t.Context(), []string{"proxy", kind, "--settings", "", "--lang", "en"}); code != 0 || said.Len() > 0 {
			t.Fatalf("%s: %d %s", kind, code, said.String())
		}
		if !bytes.Contains(doc, []byte("### "+kind+"\n\n```\n"+out.String()+"```\n")) {
			t.Errorf("%s: docs/proxy.md has something else than\n%s", kind, out.String())
		}
	}
}
