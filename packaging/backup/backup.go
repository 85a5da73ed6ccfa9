// Package backup tests backups on disks with faults (package faultfs): what a target took is there, whole, after a
// power cut; a disk that fails, fills up or hangs is said to; file systems that lack a way to give names safely have another.
//
// The tests are behind the build tag e2e and need what faultfs needs: root, /dev/fuse and loop devices.
//
// What this cannot prove: what the firmware of a real stick or card does.
package backup
