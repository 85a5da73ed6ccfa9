package kinto

import (
	"bytes"
	"testing"
)

func TestAnswersAboutAccountsHaveNoHash(t *testing.T) {
	account := func() *Object {
		return &Object{ID: "anna", Timestamp: 1, Data: []byte(`{"password":"$2a$10$x","age":3}`)}
	}
	a, err := discreet(&Answer{Object: account(), Objects: []Object{*account(), {ID: "paul", Deleted: true}}, Part: []byte(`{"password":"$2a$10$x"}`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, refused := discreet(nil, &ModifiedError{account(), 1})
	for what, text := range map[string][]byte{"an object": a.Object.Data, "a list": a.Objects[0].AppendJSON(nil), "a part": a.Part, "what stands in the way": refused.(*ModifiedError).Existing.Data} {
		if bytes.Contains(text, []byte("password")) {
			t.Errorf("%s: %s", what, text)
		}
	}
	if string(a.Object.Data) != `{"age":3}` || string(a.Part) != `{}` {
		t.Errorf("too much is gone: %s, %s", a.Object.Data, a.Part)
	}
	if Account.Knows(Field{"password"}) || !Account.Knows(Field{"age"}) || !Record.Knows(Field{"password"}) {
		t.Error("accounts are filtered by the hash, or others are not")
	}
}
