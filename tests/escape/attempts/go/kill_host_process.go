/* escape: layers=pid,uid,caps */
package main

import ("os"; "syscall"; "time")

func main() {
	syscall.Kill(@PID@, syscall.SIGKILL)
	time.Sleep(100 * time.Millisecond)
	os.Exit(1)
}
