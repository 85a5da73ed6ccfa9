package host

import (
	"errors"
	"net/netip"
	"testing"
)

func TestGatewayIsTheCheapestWayToEverywhere(t *testing.T) {
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	got, err := gatewayIn(head +
		"wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n" +
		"eth0\t00000000\tFE01A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
		"eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n")
	if want := netip.MustParseAddr("192.168.1.254"); err != nil || got != want {
		t.Errorf("got %v, %v; want %v (this machine's byte order is little)", got, err, want)
	}
	if _, err := gatewayIn(head); !errors.Is(err, ErrNoGateway) {
		t.Errorf("without routes: %v", err)
	}
}
