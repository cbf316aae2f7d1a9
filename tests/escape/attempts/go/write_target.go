/* escape: layers=view,uid,caps */
package main

import "os"

func main() {
	os.WriteFile("/..@DIR@/target", []byte("touched"), 0600)
	os.Exit(1)
}
