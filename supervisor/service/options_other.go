//go:build !darwin && !windows

package service

import "github.com/kardianos/service"

// options: the scripts say it all.
func options() service.KeyValue { return service.KeyValue{"Restart": "always"} }

func account(user string) string { return user }
