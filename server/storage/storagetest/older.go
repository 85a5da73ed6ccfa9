package storagetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/server/kinto"
)

// Older is a database from before births and addresses without the server's name, as
// statements for the tables of then, which both stores have alike.
var Older = []string{
	`INSERT INTO lists (pk, parent, kind, ts, live, tombstones, bytes, files) VALUES (1, '', 'bucket', 10, 1, 1, 2, 0), (2, '/buckets/b', 'collection', 20, 1, 1, 2, 0), (3, '/buckets/b', 'group', 20, 0, 1, 0, 0),
		(4, '/buckets/b/collections/c', 'record', 30, 4, 0, 999, 10), (5, 'Anna', 'account', 40, 1, 0, 2, 0), (6, 'paul', 'account', 41, 0, 1, 0, 0)`,
	`INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES (1, 'b', 9, false, '{}', '` + olderPermissions + `'), (1, 'gone', 10, true, '', ''), (2, 'c', 19, false, '{}', ''), (2, 'gone', 20, true, '', ''), (3, 'gone', 20, true, '', ''), (3, 'g', 19, false, '` + olderMembers + `', ''),
		(5, 'Anna', 40, false, '{}', ''), (6, 'paul', 41, true, '', '')`,
	`INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES
		(4, 'plain', 27, false, '{"n":1,"attachment":{"filename":"a \"b\".txt","location":"https://old.example:8443/v1/attachments/x.txt","hash":"h","mimetype":"text/plain","size":5}}', ''),
		(4, 'folder', 28, false, '{"see":"https://old.example/v1/attachments/f/y.txt","attachment":{"filename":"y","location":"https://old.example/v1/attachments/f/y.txt","hash":"h","mimetype":"text/plain","size":5},"z":[]}', ''),
		(4, 'forged', 29, false, '{"attachment":{"filename":"y","location":"https://old.example/v1/attachments/nothing.txt","hash":"h","mimetype":"text/plain","size":5}}', ''),
		(4, 'none', 30, false, '{"location":"https://old.example/v1/attachments/x.txt"}', '')`,
	`INSERT INTO files (location, list, id, hash, size, type, name) VALUES ('x.txt', 4, 'plain', 'h', 5, 'text/plain', 'a'), ('f/y.txt', 4, 'folder', 'h', 5, 'text/plain', 'y'), ('other.txt', 4, 'forged', 'h', 5, 'text/plain', 'y')`,
	`INSERT INTO owners (bucket, owner) VALUES ('/buckets/b', 'somebody')`,
}

const (
	olderPermissions = `{"read":["x"],"write":["a \"y\""]}`
	olderMembers     = `{"members":["x","y"]}`
)

// CheckOlder looks at such a database once a store has brought it up to date.
func CheckOlder(t *testing.T, db kinto.Store) {
	t.Helper()
	records := kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
	err := db.Read(t.Context(), func(tx kinto.Reader) error {
		for id, want := range map[string]string{
			"plain":  `{"n":1,"attachment":{"filename":"a \"b\".txt","location":"` + kinto.FileScheme + `x.txt","hash":"h","mimetype":"text/plain","size":5}}`,
			"folder": `{"see":"https://old.example/v1/attachments/f/y.txt","attachment":{"filename":"y","location":"` + kinto.FileScheme + `f/y.txt","hash":"h","mimetype":"text/plain","size":5},"z":[]}`,
			"forged": `{"attachment":{"filename":"y","location":"https://old.example/v1/attachments/nothing.txt","hash":"h","mimetype":"text/plain","size":5}}`,
			"none":   `{"location":"https://old.example/v1/attachments/x.txt"}`,
		} {
			o, err := tx.Get(records, id)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, string(o.Data)); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
		for name, want := range map[string]string{
			"birth./buckets/gone": "1", "birth./buckets/b/collections/gone": "1", "birth./buckets/b/groups/gone": "1", "birth./buckets/b": "",
			"auth.reserved.paul": "1", "auth.reserved.Anna": "", "auth.name.anna": "Anna", "auth.name.paul": "paul",
		} {
			got, err := tx.Meta(name)
			if err != nil {
				return err
			}
			if string(got) != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if f, err := tx.File("x.txt"); err != nil || f == nil {
			t.Errorf("the file: %v, %v", f, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// What the bucket and what is in it weigh is counted, as it is now.
	err = db.Read(t.Context(), func(tx kinto.Reader) error {
		u, err := tx.Usage("somebody")
		if err != nil {
			return err
		}
		want := int64(0)
		for _, one := range []struct {
			kind kinto.Kind
			o    kinto.Object
		}{
			{kinto.Bucket, kinto.Object{ID: "b", Data: []byte("{}"), Permissions: []byte(olderPermissions)}},
			{kinto.Collection, kinto.Object{ID: "c", Data: []byte("{}")}},
			{kinto.Collection, kinto.Object{ID: "gone", Deleted: true}},
			{kinto.Group, kinto.Object{ID: "gone", Deleted: true}},
			{kinto.Group, kinto.Object{ID: "g", Data: []byte(olderMembers)}},
		} {
			want += kinto.Weight(one.kind, &one.o)
		}
		for _, id := range []string{"plain", "folder", "forged", "none"} {
			o, err := tx.Get(records, id)
			if err != nil {
				return err
			}
			want += kinto.Weight(kinto.Record, o)
		}
		if u.Bytes != want || u.Records != 4 {
			t.Errorf("%d bytes of %d records, want %d", u.Bytes, u.Records, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
