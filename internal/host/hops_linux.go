package host

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// hops asks for each step at once: what dies on the way is told in the socket's
// error queue (ip(7), IP_RECVERR), for which no right is needed.
func hops(ctx context.Context, to netip.Addr, n int) []netip.Addr {
	out := make([]netip.Addr, n)
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() { out[i] = hop(ctx, to, i+1) })
	}
	wg.Wait()
	return out
}

// hop returns who lets a packet to an address die after ttl steps.
func hop(ctx context.Context, to netip.Addr, ttl int) netip.Addr {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer unix.Close(fd) //nolint:errcheck // a socket that is done with
	if unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1) != nil || unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl) != nil {
		return netip.Addr{}
	}
	at := &unix.SockaddrInet4{Port: 33434, Addr: to.As4()} // where traceroute(8) begins
	var sent time.Time
	for ctx.Err() == nil {
		if time.Since(sent) > 500*time.Millisecond { // one may get lost, and routers say so only now and then
			sent = time.Now()
			_ = unix.Sendto(fd, nil, 0, at) // an error of it is one of the way
		}
		ready := []unix.PollFd{{Fd: int32(fd)}} // errors are told unasked
		if k, err := unix.Poll(ready, 50); err != nil && err != unix.EINTR || k == 0 {
			continue
		}
		oob := make([]byte, 512)
		_, k, _, _, err := unix.Recvmsg(fd, nil, oob, unix.MSG_ERRQUEUE)
		if err != nil {
			continue
		}
		if who := offender(oob[:k]); who.IsValid() {
			return who
		}
	}
	return netip.Addr{}
}

// offender is who said that a packet's time was over.
func offender(oob []byte) netip.Addr {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.Addr{}
	}
	const errLen, timeExceeded = 16, 11 // struct sock_extended_err; RFC 792
	for _, m := range messages {
		d := m.Data
		if m.Header.Level != unix.IPPROTO_IP || m.Header.Type != unix.IP_RECVERR || len(d) < errLen+8 ||
			d[4] != unix.SO_EE_ORIGIN_ICMP || d[5] != timeExceeded || binary.NativeEndian.Uint16(d[errLen:]) != unix.AF_INET {
			continue
		}
		return netip.AddrFrom4([4]byte(d[errLen+4 : errLen+8])) // struct sockaddr_in
	}
	return netip.Addr{}
}
