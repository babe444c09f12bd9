"""Bills: what someone owes an agency, from issue to payment; fees, utility bills and fines alike."""
