package main

import (
	"net"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/site"
)

// proxySnippet is what a snippet says of this machine.
type proxySnippet struct {
	Name, To, Cert, Key, HTTP, HTTPS string
	Protocol                         bool // it begins with the PROXY protocol
	Head, Plain, Live, Size, Who     string
}

// Port is the end of an https address: nothing, or ":PORT".
func (p proxySnippet) Port() string {
	if p.HTTPS == "443" {
		return ""
	}
	return ":" + p.HTTPS
}

func (a *app) proxyCmd() *cobra.Command {
	p := proxySnippet{}
	cmd := &cobra.Command{
		Use: "proxy " + strings.Join(proxyKinds, "|"), Args: usage(a, cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)), ValidArgs: proxyKinds,
		Short: hint.T("What to write into the configuration of a reverse proxy of yours", "Ce qu'il faut écrire dans la configuration d'un mandataire inverse à vous").In(a.lang),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.loadSettings(cmd.Context(), a.environ)
			if err != nil {
				return err
			}
			return proxy(a, args[0], s, p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.Name, "name", "", hint.T("public name (default: the first one of the setting addresses)", "nom public (par défaut : le premier du réglage addresses)").In(a.lang))
	f.StringVar(&p.Cert, "certificate", "", hint.T("file of the proxy's certificate (haproxy: and its key)", "fichier du certificat du mandataire (haproxy : et de sa clé)").In(a.lang))
	f.StringVar(&p.Key, "key", "", hint.T("file of its key", "fichier de sa clé").In(a.lang))
	f.StringVar(&p.HTTP, "http-port", "80", hint.T("the proxy's port for HTTP", "port HTTP du mandataire").In(a.lang))
	f.StringVar(&p.HTTPS, "https-port", "443", hint.T("the proxy's port for HTTPS", "port HTTPS du mandataire").In(a.lang))
	return cmd
}

var proxyKinds = []string{"nginx", "apache", "caddy", "haproxy", "traefik"}

func proxy(a *app, kind string, s *config.Settings, p proxySnippet) error {
	place := site.Of(s)
	if names := place.Names(); p.Name == "" && len(names) > 0 {
		p.Name = names[0]
	}
	p.Name, p.To = or(p.Name, "cloud.example"), or(s.Proxy.Listen, "127.0.0.1:8888")
	if host, port, err := net.SplitHostPort(p.To); err == nil && net.ParseIP(host).IsUnspecified() {
		p.To = net.JoinHostPort("127.0.0.1", port)
	}
	if p.Cert == "" && kind == "haproxy" {
		p.Cert = "/etc/haproxy/certs/" + p.Name + ".pem"
	} else if p.Cert == "" && kind != "caddy" {
		p.Cert, p.Key = "/etc/letsencrypt/live/"+p.Name+"/fullchain.pem", "/etc/letsencrypt/live/"+p.Name+"/privkey.pem"
	}
	p.Protocol = s.Proxy.Protocol == "on" && kind == "haproxy"
	p.Head = hint.T("Foyer behind %s, as %s", "Foyer derrière %s, sous le nom %s", kind, p.Name).In(a.lang)
	p.Plain = hint.T("Whoever comes without encryption is led to where there is.", "Qui vient sans chiffrement est mené là où il y en a.").In(a.lang)
	p.Live = hint.T("Changes reach apps at once, and uploads pass as they come: nothing is held back.", "Les changements arrivent aussitôt aux applications et les envois passent au fil de l'eau : rien n'est retenu.").In(a.lang)
	p.Size = hint.T("Foyer itself knows how large a body may be.", "Foyer sait lui-même combien un corps peut peser.").In(a.lang)
	p.Who = hint.T("Foyer learns who the visitor is from here, and not from what they say.", "Foyer apprend d'ici qui est le visiteur, et non de ce qu'il prétend.").In(a.lang)
	t, err := template.New(kind).Parse(proxyTexts[kind])
	if err != nil {
		return err
	}
	if err := t.Execute(a.out, hint.Clean(p)); err != nil {
		return err
	}
	if !place.BehindProxy() || len(s.Proxy.Trusted) == 0 {
		line(a.err, hint.T("Foyer itself needs, in %s, under [proxy]: listen = %q and trusted = [\"127.0.0.1\"] (the address the proxy comes from).",
			"Foyer lui-même a besoin, dans %s, sous [proxy] : listen = %q et trusted = [\"127.0.0.1\"] (l'adresse d'où vient le mandataire).", a.settings, p.To).In(a.lang))
	}
	if s.Proxy.Protocol == "on" && !p.Protocol {
		line(a.err, hint.T("The setting proxy.protocol is on, and this snippet does not use the PROXY protocol: set it to off.", "Le réglage proxy.protocol est à on, et cet extrait n'emploie pas le protocole PROXY : mettez-le à off.").In(a.lang))
	}
	return nil
}

var proxyTexts = map[string]string{
	"nginx": `# {{.Head}}
server {
	# {{.Plain}}
	listen {{.HTTP}};
	listen [::]:{{.HTTP}};
	server_name {{.Name}};
	return 307 https://{{.Name}}{{.Port}}$request_uri;
}
server {
	listen {{.HTTPS}} ssl http2;
	listen [::]:{{.HTTPS}} ssl http2;
	server_name {{.Name}};
	ssl_certificate {{.Cert}};
	ssl_certificate_key {{.Key}};
	ssl_protocols TLSv1.2 TLSv1.3;
	location / {
		proxy_pass http://{{.To}};
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		# {{.Who}}
		proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-Host $http_host;
		proxy_set_header X-Forwarded-Proto $scheme;
		proxy_set_header X-Forwarded-For $remote_addr;
		proxy_set_header Forwarded "";
		# {{.Live}}
		proxy_buffering off;
		proxy_request_buffering off;
		proxy_read_timeout 1h;
		proxy_send_timeout 1h;
		# {{.Size}}
		client_max_body_size 0;
	}
}
`,
	"apache": `# {{.Head}}
# a2enmod ssl http2 headers proxy proxy_http
<VirtualHost *:{{.HTTP}}>
	# {{.Plain}}
	ServerName {{.Name}}
	RedirectMatch 307 ^(.*)$ https://{{.Name}}{{.Port}}$1
</VirtualHost>
<VirtualHost *:{{.HTTPS}}>
	ServerName {{.Name}}
	Protocols h2 http/1.1
	SSLEngine on
	SSLProtocol -all +TLSv1.2 +TLSv1.3
	SSLCertificateFile {{.Cert}}
	SSLCertificateKeyFile {{.Key}}
	# {{.Who}}
	ProxyPreserveHost On
	RequestHeader set X-Forwarded-Proto https
	RequestHeader unset X-Forwarded-For early
	RequestHeader unset X-Forwarded-Host early
	RequestHeader unset Forwarded early
	# {{.Live}}
	AllowEncodedSlashes NoDecode
	ProxyPass / http://{{.To}}/ nocanon flushpackets=on timeout=3600
	# {{.Size}}
	LimitRequestBody 0
</VirtualHost>
`,
	"caddy": `# {{.Head}}
http://{{.Name}}:{{.HTTP}} {
	# {{.Plain}}
	redir https://{{.Name}}{{.Port}}{uri} 307
}
https://{{.Name}}:{{.HTTPS}} {
{{- if .Cert}}
	tls {{.Cert}} {{.Key}}
{{- end}}
	# {{.Live}}
	reverse_proxy {{.To}} {
		flush_interval -1
		# {{.Who}}
		header_up -Forwarded
	}
}
`,
	"haproxy": `# {{.Head}}
frontend foyer
	mode http
	timeout client 1h
	bind :{{.HTTP}}
	bind :{{.HTTPS}} ssl crt {{.Cert}} alpn h2,http/1.1 ssl-min-ver TLSv1.2
	# {{.Plain}}
	http-request redirect location https://{{.Name}}{{.Port}}%[capture.req.uri] code 307 unless { ssl_fc }
	default_backend foyer
backend foyer
	mode http
	timeout connect 10s
	# {{.Live}}
	timeout server 1h
	timeout tunnel 1h
	# {{.Who}}
{{- if .Protocol}}
	server foyer {{.To}} send-proxy-v2-ssl
{{- else}}
	http-request set-header X-Forwarded-For %[src]
	http-request set-header X-Forwarded-Proto https
	http-request set-header X-Forwarded-Host %[req.hdr(host)]
	http-request del-header Forwarded
	server foyer {{.To}}
{{- end}}
`,
	"traefik": `# {{.Head}}
http:
  routers:
    foyer:
      rule: "Host(` + "`{{.Name}}`" + `)"
      entryPoints: [websecure]
      service: foyer
      tls: {}
    # {{.Plain}}
    foyer-plain:
      rule: "Host(` + "`{{.Name}}`" + `)"
      entryPoints: [web]
      middlewares: [foyer-secure]
      service: foyer
  middlewares:
    foyer-secure:
      redirectScheme: {scheme: https, port: "{{.HTTPS}}"}
  services:
    foyer:
      loadBalancer:
        # {{.Live}}
        responseForwarding: {flushInterval: 1ms}
        servers:
          - url: "http://{{.To}}"
tls:
  certificates:
    - {certFile: "{{.Cert}}", keyFile: "{{.Key}}"}
`,
}
