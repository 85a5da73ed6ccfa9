package config

import "testing"

func TestPostgreSQL(t *testing.T) {
	for _, c := range []struct{ database, storage, want string }{
		{"", "", ""},
		{"host=h dbname=d", "postgres://x/y", "host=h dbname=d"},
		{"", "postgres://x/y", "postgres://x/y"},
		{"", "postgresql://x/y", "postgresql://x/y"},
		{"", "redis://x/1", ""},
	} {
		s := Default()
		s.Database = c.database
		s.Kinto = NewKinto(map[string]string{"storage_url": c.storage})
		if got := s.PostgreSQL(); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	for database, fine := range map[string]bool{"": true, "postgres://x": true, "postgresql://x": true, "host=h": true, " user = x": true, "mysql://x": false, "x": false} {
		s := Default()
		s.Database = database
		if err := s.Validate(); (err == nil) != fine {
			t.Errorf("%q: %v", database, err)
		}
	}
}

func TestShownHoldsNoSecret(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"name", "password=x", "password=x"},
		{"kinto.userid_hmac_secret", "x", "********"},
		{"kinto.userid_hmac_secret", "", ""},
		{"dns.credentials", "token=x", "********"},
		{"database", "host=h password=hunter2 dbname=d", "host=h password=******** dbname=d"},
		{"database", `password = 'hun\'ter 2' sslpassword=x`, "password = ******** sslpassword=********"},
		{"database", "postgres://ann:hunter2@h:1,i:2/d?sslmode=require", "postgres://ann:********@h:1,i:2/d?sslmode=require"},
		{"database", "postgres://ann@h/d?password=hunter2&x=y", "postgres://ann@h/d?password=********&x=y"},
		{"database", "postgres://ann:hun%ter2@h/d", "********"},
		{"kinto.storage_url", "postgres://ann:hunter2@h/d", "postgres://ann:********@h/d"},
		{"kinto.project_docs", "https://x/", "https://x/"},
	} {
		if got := Shown(c.key, c.value); got != c.want {
			t.Errorf("%s = %s: %s, want %s", c.key, c.value, got, c.want)
		}
	}
}
