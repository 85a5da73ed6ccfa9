package service

import "github.com/kardianos/service"

// options are launchd's: started at boot, kept alive, by the system.
func options() service.KeyValue { return service.KeyValue{"KeepAlive": true, "RunAtLoad": true} }

func account(user string) string { return user }
