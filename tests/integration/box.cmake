# Against a private launcher (root; skipped with 77 otherwise).
function(rustbox_box_test name)
    rustbox_test(test_${name} LABEL integration TIMEOUT 180 test_${name}.c
        ${PROJECT_SOURCE_DIR}/tests/support/box_fixture.c LINK rb_box rb_evidence rb_base)
    target_compile_definitions(test_${name} PRIVATE RUSTBOX_BIN_DIR="${PROJECT_BINARY_DIR}/bin")
    add_dependencies(test_${name} rustbox-box)
endfunction()

rustbox_box_test(box_bombs)
rustbox_box_test(box_teardown)
rustbox_box_test(box_remains)
set_tests_properties(test_box_teardown PROPERTIES TIMEOUT 400)
rustbox_box_test(box_service)
rustbox_box_test(box_hostile)
rustbox_box_test(box_stay)
rustbox_box_test(box_host)
target_link_libraries(test_box_host PRIVATE rb_launcher) # its user ids
rustbox_box_test(box_maker)
rustbox_box_test(box_leaks)
target_link_libraries(test_box_leaks PRIVATE rb_launcher) # whether it has a template
set_tests_properties(test_box_leaks PROPERTIES TIMEOUT 400) # hundreds of jobs in each tier, also sanitized
rustbox_box_test(box_cache)
target_link_libraries(test_box_cache PRIVATE rb_launcher) # its age
rustbox_box_test(box_prebuilt)
target_compile_definitions(test_box_prebuilt PRIVATE RUSTBOX_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
set_tests_properties(test_box_prebuilt PROPERTIES TIMEOUT 400) # twenty real compiles of C++
# A launcher that starts takes over, and sweeps, what a dead one left, and these kill theirs or look at all groups; bombs
# are held to the clock.
set_tests_properties(test_box_service test_box_host test_box_bombs test_box_teardown test_box_remains PROPERTIES RUN_SERIAL ON)
rustbox_test(test_cgroup_sweep LABEL integration test_cgroup_sweep.c LINK rb_launcher)
rustbox_test(test_box_harvest LABEL integration test_box_harvest.c LINK rb_launcher)
