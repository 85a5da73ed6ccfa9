package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// User is an account of the operating system.
type User struct {
	Name     string
	UID, GID int
	Home     string
}

// LookupUser finds an account by name, wherever the system keeps accounts
// (getent(1)); ok is false when there is none. Where there is no getent,
// /etc/passwd under root is read.
func LookupUser(ctx context.Context, r Runner, root, name string) (u User, ok bool, err error) {
	fields, ok, err := lookup(ctx, r, root, "passwd", name)
	if err != nil || !ok {
		return User{}, false, err
	}
	if len(fields) < 6 {
		return User{}, false, fmt.Errorf("cannot read the account %s: %q", name, fields)
	}
	uid, err1 := strconv.Atoi(fields[2])
	gid, err2 := strconv.Atoi(fields[3])
	if err := errors.Join(err1, err2); err != nil {
		return User{}, false, fmt.Errorf("cannot read the account %s: %w", name, err)
	}
	return User{name, uid, gid, fields[5]}, true, nil
}

// LookupGroup finds a group by name, as LookupUser does.
func LookupGroup(ctx context.Context, r Runner, root, name string) (gid int, ok bool, err error) {
	fields, ok, err := lookup(ctx, r, root, "group", name)
	if err != nil || !ok {
		return 0, false, err
	}
	if len(fields) < 3 {
		return 0, false, fmt.Errorf("cannot read the group %s: %q", name, fields)
	}
	if gid, err = strconv.Atoi(fields[2]); err != nil {
		return 0, false, fmt.Errorf("cannot read the group %s: %w", name, err)
	}
	return gid, true, nil
}

// lookup returns the fields of the line for name in a database of passwd(5) kind.
func lookup(ctx context.Context, r Runner, root, database, name string) (fields []string, ok bool, err error) {
	out, err := r.Run(ctx, "getent", database, name)
	if e, is := errors.AsType[*RunError](err); is && e.Code == 2 { // getent(1): a key was not found
		return nil, false, nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		data, rerr := os.ReadFile(strings.TrimSuffix(root, "/") + "/etc/" + database)
		if rerr != nil {
			return nil, false, fmt.Errorf("cannot look up %s: %w", name, rerr)
		}
		out, err = string(data), nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("cannot look up %s: %w", name, err)
	}
	for line := range strings.Lines(out) {
		if f := strings.Split(strings.TrimSpace(line), ":"); f[0] == name {
			return f, true, nil
		}
	}
	return nil, false, nil
}
