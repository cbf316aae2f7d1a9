/* escape: layers=uts */
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	var name syscall.Utsname
	syscall.Uname(&name)
	if name.Nodename[0] != 'r' || name.Nodename[8] != 's' {
		fmt.Println("ESCAPED")
		return
	}
	os.Exit(1)
}
