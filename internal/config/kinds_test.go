package config

import (
	"regexp"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// Values of another kind than the key's are refused in words a person wrote, with file,
// line and key, and all of them at once.
func TestKindsAreToldAsAPersonWouldSay(t *testing.T) {
	t.Attr("shows", "mend2")
	for _, wrong := range []string{"443", `"x"`, "true", "1.5", "inf", "1979-05-27", "07:32:00", `["a", 1]`, "[[1]]", "{a = 1}", "[{a = 1}]", "99999999999999999999"} {
		for _, k := range Keys {
			_, err := load(t, "\n"+k.Name+" = "+wrong+"\n")
			if err == nil {
				continue
			}
			for _, l := range hint.Langs {
				said := hint.Describe(err, l)
				if !strings.Contains(said, "foyer.toml:2") || !strings.Contains(said, k.Name) && wrong != "99999999999999999999" {
					t.Errorf("%s = %s: it does not say where: %s", k.Name, wrong, said)
				}
				for _, inside := range []string{"struct", "int64", "interface", "[]", "config.", "strconv", "map[", "time.", "%!", "reflect"} {
					if strings.Contains(strings.ReplaceAll(said, wrong, ""), inside) {
						t.Errorf("%s = %s: %q in %s", k.Name, wrong, inside, said)
					}
				}
			}
		}
		for _, k := range KintoKeys {
			_, err := load(t, "\nkinto.\""+k.Name+"\" = "+wrong+"\n")
			if err != nil && (!strings.Contains(err.Error(), "foyer.toml:2") || strings.Contains(err.Error(), "strconv")) {
				t.Errorf("kinto.%s = %s: %v", k.Name, wrong, err)
			}
		}
	}
	_, err := load(t, "https_port = \"443\"\nnmae = \"x\"\naddresses = \"cloud.example\"\n[limits]\nbody = 1.5\n[dns]\nresolvers = [53]\n[frogs]\n[kinto]\nreadonly = \"maybe\"\n")
	for _, want := range []string{
		`:1: the key "https_port" is not right: a whole number, without quotes, is needed.`, `:2: the key "nmae" is not right: there is no such key; "name" is one.`,
		`:3: the key "addresses" is not right: a list of text, like ["a", "b"], is needed.`, `:5: the key "limits.body"`, `:7: the key "dns.resolvers"`,
		`:8: the key "frogs" is not right: there is no such key`, `:10: the key "kinto.readonly" is not right: true or false.`,
	} {
		if err == nil || !strings.Contains(hint.Describe(err, hint.EN), want) {
			t.Errorf("want %s in\n%v", want, err)
		}
	}
	for _, text := range []string{"[dns]\n", "[kinto]\n[kinto.multiauth]\n", "dns = {}\n", "addresses = []\n"} {
		if _, err := load(t, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// An address that is nearly one, or a name that DNS cannot have, is refused by every key
// that takes such.
func TestAddressesAreAddresses(t *testing.T) {
	t.Attr("shows", "mend2")
	long, number := strings.Repeat("a", 63), regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)
	names := map[string]bool{
		"cloud.example": true, "nas": true, long + ".example": true, "1password.example": true, "168.192.in-addr.arpa": true, "xn--caf-dma.example": true, "a.b.c.d.e.1x": true,
		"1.2.3": false, "1": false, "192.168.001.010": false, "192.168.1.256": false, "1.2.3.4.5": false, "127.1": false, "0x7f.1": false, "0x7f000001": false, "a.0x": false,
		long + "a.example": false, "cloud." + long + "a": false, strings.Repeat("abcdefg.", 32) + "example": false,
		"": false, ".": false, "a..b": false, "-a.example": false, "a-.example": false, "a_b.example": false, "a b": false, "https://a.example": false, "a.example:443": false,
	}
	for name, good := range names {
		for key, text := range map[string]string{
			"addresses": `["` + name + `"]`, "wildcard": `["*.` + name + `"]`, "dns.zone": `"` + name + `"`, "certificates.members": `"` + name + `"`, "dns.resolvers": `["` + name + `:53"]`,
		} {
			want := good
			switch {
			case name == "" && (key == "dns.zone" || key == "certificates.members"): // none
				continue
			case key == "certificates.members" && name == "nas": // no domain
				want = false
			}
			key = strings.Replace(key, "wildcard", "addresses", 1)
			if _, err := load(t, key+" = "+text+"\n"); (err == nil) != want {
				t.Errorf("%s = %s: %v", key, text, err)
			}
		}
		for _, key := range []string{"certificates.ca", "certificates.rehearse", "reach.peer"} {
			if _, err := load(t, key+" = \"https://"+name+"\"\n"); !good && number.MatchString(name) && err == nil || good && err != nil {
				t.Errorf("%s = https://%s: %v", key, name, err)
			}
		}
	}
	for address, good := range map[string]bool{"192.168.1.20": true, "2001:db8::1": true, "::1": true, "0.0.0.0": false, "::": false, "fe80::1%eth0": false, "224.0.0.1": false, "[::1]": false, "*.192.168.1.20": false} {
		if _, err := load(t, "addresses = [\""+address+"\"]\n"); (err == nil) != good {
			t.Errorf("addresses = %s: %v", address, err)
		}
		if _, err := Load("", []string{"FOYER_ADDRESSES=" + address}); (err == nil) != good {
			t.Errorf("FOYER_ADDRESSES=%s: %v", address, err)
		}
	}
	for resolver, good := range map[string]bool{"9.9.9.9:53": true, "[::1]:5353": true, "dns.example:53": true, "9.9.9.9": false, ":53": false, "9.9.9.9:": false, "9.9.9.9:dns": false, "9.9.9.9:0": false, "9.9.9.9:65536": false} {
		if _, err := load(t, "dns.resolvers = [\""+resolver+"\"]\n"); (err == nil) != good {
			t.Errorf("dns.resolvers = %s: %v", resolver, err)
		}
	}
}
