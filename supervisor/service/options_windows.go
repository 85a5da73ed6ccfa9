package service

import "github.com/kardianos/service"

// options are the Service Control Manager's: started at boot after the urgent
// services, restarted a second after a failure.
func options() service.KeyValue {
	return service.KeyValue{"StartType": "automatic", "DelayedAutoStart": true, "OnFailure": "restart", "OnFailureDelayDuration": "1s"}
}

// account: on Windows a built-in account with few rights that needs no password.
func account(string) string { return `NT AUTHORITY\LocalService` }
